//! Draws lines over time, as SVG, in the same style as the bars of [`chart`](crate::chart).

use std::fmt::{self, Display, Write as _};

use crate::chart::{WIDTH, head, text};

/// Some lines that share their axes. Values are parts of one.
pub(crate) struct Curves {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    /// Machine, date, commit.
    pub(crate) foot: String,
    /// The time of the first value, and between two of them, in seconds.
    pub(crate) from: f64,
    pub(crate) step: f64,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
    /// The line for the new way has this module's colour, the one for the way before is grey.
    pub(crate) ours: bool,
    pub(crate) dashed: bool,
}

const STYLE: &str = ".line{fill:none;stroke-width:2;stroke-linejoin:round}.line.ours{stroke:#0969da}\
                     .line.peer{stroke:#8c959f}";
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 84.0;
const HIGH: f64 = 240.0;
/// The values at the bottom and at the top.
const LEAST: f64 = 0.0;
const MOST: f64 = 1.1;
const LEGEND: f64 = 22.0;

impl Curves {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let legend = TOP + HIGH + 44.0;
        let height = legend + LEGEND * self.lines.len() as f64 + 34.0;
        head(f, height, STYLE, &self.title, &self.subtitle)?;
        self.axes(f)?;
        for (number, line) in self.lines.iter().enumerate() {
            let class = if line.ours { "ours" } else { "peer" };
            let dash = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
            writeln!(f, "<path class=\"line {class}\"{dash} d=\"{}\"/>", self.path(line))?;
            let y = legend + LEGEND * number as f64;
            let sample = y - 4.0;
            writeln!(f, "<path class=\"line {class}\"{dash} d=\"M{LEFT} {sample}h36\"/>")?;
            text(f, LEFT + 46.0, y, "name", &line.name)?;
        }
        text(f, 24.0, height - 16.0, "quiet", &self.foot)?;
        writeln!(f, "</svg>")
    }

    /// A grid with a line for each fifth and for each half of a second.
    fn axes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fifth in 0..=5 {
            let y = high(f64::from(fifth) / 5.0);
            writeln!(f, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT)?;
            let (x, y) = (LEFT - 8.0, y + 4.0);
            let percent = fifth * 20;
            writeln!(
                f,
                "<text class=\"quiet\" x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{percent} %</text>",
            )?;
        }
        let first = (self.from * 2.0).ceil();
        let times = (0..).map(|half| (first + f64::from(half)) / 2.0);
        for time in times.take_while(|time| *time <= self.end()) {
            let (x, bottom) = (self.across(time), TOP + HIGH);
            writeln!(f, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>")?;
            let y = bottom + 18.0;
            writeln!(
                f,
                "<text class=\"quiet\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{time} s</text>",
            )?;
        }
        Ok(())
    }

    fn end(&self) -> f64 {
        let count = self.lines.iter().map(|line| line.values.len()).max().unwrap_or_default();
        self.from + self.step * count as f64
    }

    fn across(&self, time: f64) -> f64 {
        let all = (self.end() - self.from).max(f64::MIN_POSITIVE);
        LEFT + (time - self.from) / all * (WIDTH - LEFT - RIGHT)
    }

    /// Each value stands in the middle of its time.
    fn path(&self, line: &Line) -> String {
        let mut path = String::new();
        for (at, value) in line.values.iter().enumerate() {
            let x = self.across(self.from + self.step * (at as f64 + 0.5));
            let letter = if at == 0 { 'M' } else { 'L' };
            // Writing to a text does not fail.
            let _ = write!(path, "{letter}{x:.1} {:.1}", high(*value));
        }
        path
    }
}

fn high(value: f64) -> f64 {
    let part = (value.clamp(LEAST, MOST) - LEAST) / (MOST - LEAST);
    TOP + HIGH * (1.0 - part)
}

impl Display for Curves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_the_left_to_the_right() {
        let line = Line { name: "a".into(), values: vec![0.0, 1.1], ours: true, dashed: false };
        let curves = Curves {
            title: String::new(),
            subtitle: String::new(),
            foot: String::new(),
            from: -1.0,
            step: 1.0,
            lines: vec![line],
        };
        assert_eq!(curves.end(), 1.0);
        let path = curves.path(&curves.lines[0]);
        // A quarter and three quarters of the width between the margins, at the bottom and at the top.
        assert_eq!(path, "M247.0 324.0L613.0 84.0");
    }
}
