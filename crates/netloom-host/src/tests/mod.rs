mod plans;
mod running;
