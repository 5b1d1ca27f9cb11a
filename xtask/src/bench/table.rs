//! Medians with their spread, and a Markdown table of them.

/// One figure's values, a round each.
#[derive(Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// 0 when there is no value.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }

    /// Round by round, this through `other`.
    pub(crate) fn ratio(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    /// `median (least–greatest)`, or `–` when there is no value.
    pub(crate) fn cell(&self, digits: usize) -> String {
        if self.0.is_empty() {
            return "–".to_owned();
        }
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        format!(
            "{:.digits$} ({least:.digits$}–{most:.digits$})",
            self.median()
        )
    }
}

/// A Markdown table; every column but the first is aligned to the right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
        let rule = (0..head.len())
            .map(|column| if column == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        Self {
            rows: vec![head, rule],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn print(&self) {
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Series;

    fn series(values: &[f64]) -> Series {
        Series(values.to_vec())
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert!((series(&[9.0, 1.0, 4.0]).median() - 4.0).abs() < 1e-9);
        assert!((series(&[9.0, 1.0, 4.0, 2.0]).median() - 3.0).abs() < 1e-9);
        assert!(series(&[]).median().abs() < 1e-9);
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let ours = series(&[1.0, 10.0, 3.0]);
        let peer = series(&[2.0, 20.0, 3.0]);
        assert_eq!(ours.ratio(&peer).cell(2), "0.50 (0.50–1.00)");
        assert_eq!(ours.ratio(&series(&[])).cell(2), "–");
    }
}
