//! Figures of what runs, for whoever asks.

/// What a figure is worth now, and how it moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// What only grows. The name ends in `_total` (Prometheus naming rules).
    Counter(u64),
    /// What goes up and down.
    Gauge(f64),
}

/// Takes figures, each with a name, a sentence and labels: Prometheus text, a page.
pub trait Measures {
    /// Takes one.
    fn figure(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        figure: Figure,
    );

    /// Takes a [`Figure::Counter`].
    fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: u64,
    ) {
        self.figure(name, help, labels, Figure::Counter(value));
    }

    /// Takes a [`Figure::Gauge`].
    fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.figure(name, help, labels, Figure::Gauge(value));
    }
}

/// Hands figures on with labels that say whose they are: these stand before a
/// figure's own.
pub struct Labelled<'a> {
    /// What is said of every figure.
    pub labels: &'a [(&'a str, &'a str)],
    /// Who takes them.
    pub to: &'a mut dyn Measures,
}

impl Measures for Labelled<'_> {
    fn figure(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        figure: Figure,
    ) {
        let labels = [self.labels, labels].concat();
        self.to.figure(name, help, &labels, figure);
    }
}
