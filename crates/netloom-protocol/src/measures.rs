//! Figures of what runs, for whoever asks.

/// Takes figures, each with a name, a sentence and labels: Prometheus text, a page.
pub trait Measures {
    /// What only grows. The name ends in `_total` (Prometheus naming rules).
    fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: u64,
    );

    /// What goes up and down.
    fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    );
}
