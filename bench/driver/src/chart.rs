//! Draws horizontal bars in groups, as SVG ([`curve`](crate::curve) draws lines). The chart has its own background, so that it is
//! readable on any page: a light one, or a dark one if the reader's system asks for it.

use std::fmt::{self, Display, Write as _};

/// A chart.
pub(crate) struct Chart {
    pub(crate) title: String,
    /// The meaning of the bars, and their unit.
    pub(crate) subtitle: String,
    /// Machine, date, commit.
    pub(crate) foot: String,
    pub(crate) groups: Vec<Group>,
    /// Formats the value that is written next to its bar.
    pub(crate) label: fn(f64) -> String,
}

pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// The value of a paler bar behind this one, for comparison.
    pub(crate) behind: Option<f64>,
    /// Whether the bar is for this module, which has its own colour.
    pub(crate) ours: bool,
}

pub(crate) const WIDTH: f64 = 820.0;
/// `LEFT` is where the bars begin; `RIGHT` is the room for the value after the longest bar.
const LEFT: f64 = 230.0;
const RIGHT: f64 = 126.0;
const TOP: f64 = 84.0;
const BAR: f64 = 15.0;
const STEP: f64 = 21.0;
const GROUP: f64 = 34.0;
const BOTTOM: f64 = 58.0;

const STYLE: &str = "
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:12.5px;fill:#24292f}
.page{fill:#fff;stroke:#d0d7de}.title{font-size:17px;font-weight:600}.group{font-weight:600}
.quiet{fill:#57606a;font-size:11.5px}.grid{stroke:#d8dee4;stroke-width:1}
.ours{fill:#0969da}.peer{fill:#8c959f}.behind{fill:#d0d7de}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117;stroke:#30363d}
.quiet{fill:#9198a1}.grid{stroke:#2a313c}.ours{fill:#4493f8}.peer{fill:#7d8590}.behind{fill:#373e47}}
";

/// Begins a chart: the page with its title. `style` is what it has besides [`STYLE`].
pub(crate) fn head(
    f: &mut fmt::Formatter<'_>,
    height: f64,
    style: &str,
    title: &str,
    subtitle: &str,
) -> fmt::Result {
    writeln!(
        f,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}{style}</style>\n\
         <rect class=\"page\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
        Text(title),
        WIDTH - 1.0,
        height - 1.0,
    )?;
    text(f, 24.0, 34.0, "title", title)?;
    text(f, 24.0, 56.0, "quiet", subtitle)
}

impl Chart {
    fn max(&self) -> f64 {
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        bars.flat_map(|bar| [bar.value, bar.behind.unwrap_or_default()]).fold(0.0, f64::max)
    }

    fn height(&self) -> f64 {
        let bars: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        TOP + self.groups.len() as f64 * GROUP + bars as f64 * STEP + BOTTOM
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (height, max) = (self.height(), self.max().max(f64::MIN_POSITIVE));
        let scale = (WIDTH - LEFT - RIGHT) / max;
        head(f, height, "", &self.title, &self.subtitle)?;
        let (above, below) = (TOP - 8.0, height - BOTTOM + 4.0);
        for tick in ticks(max) {
            let x = LEFT + tick * scale;
            writeln!(f, "<path class=\"grid\" d=\"M{x:.1} {above}V{below}\"/>")?;
            writeln!(
                f,
                "<text class=\"quiet\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                below + 15.0,
                Text(&thousands(tick)),
            )?;
        }
        let mut y = TOP;
        for group in &self.groups {
            y += GROUP;
            text(f, 24.0, y - 10.0, "group", &group.title)?;
            for bar in &group.bars {
                bar.write(f, y, scale, self.label)?;
                y += STEP;
            }
        }
        text(f, 24.0, height - 16.0, "quiet", &self.foot)?;
        writeln!(f, "</svg>")
    }
}

impl Bar {
    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        y: f64,
        scale: f64,
        label: fn(f64) -> String,
    ) -> fmt::Result {
        let middle = y + BAR - 3.5;
        writeln!(
            f,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            Text(&self.name),
        )?;
        let mut end: f64 = 0.0;
        let class = if self.ours { "ours" } else { "peer" };
        for (value, class) in
            self.behind.map(|value| (value, "behind")).into_iter().chain([(self.value, class)])
        {
            // The width is at least one, so that even a tiny value is visible.
            let width = (value * scale).max(1.0);
            end = end.max(width);
            writeln!(
                f,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            )?;
        }
        let x = LEFT + end + 6.0;
        let of = self.behind.map(|value| format!(" of {}", label(value))).unwrap_or_default();
        let value = label(self.value);
        writeln!(f, "<text x=\"{x:.1}\" y=\"{middle}\">{value}{of}</text>")
    }
}

impl Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

pub(crate) fn text(
    f: &mut fmt::Formatter<'_>,
    x: f64,
    y: f64,
    class: &str,
    text: &str,
) -> fmt::Result {
    writeln!(f, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", Text(text))
}

/// Text that is escaped for XML.
pub(crate) struct Text<'t>(pub(crate) &'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '&' => f.write_str("&amp;"),
            _ => f.write_char(c),
        })
    }
}

/// Round numbers from 0 to `max`, about five of them.
fn ticks(max: f64) -> impl Iterator<Item = f64> {
    let power = 10_f64.powf((max / 5.0).log10().floor());
    let rough = max / 5.0 / power;
    let step = power
        * if rough <= 1.0 {
            1.0
        } else if rough <= 2.0 {
            2.0
        } else if rough <= 5.0 {
            5.0
        } else {
            10.0
        };
    (0..).map(move |n| f64::from(n) * step).take_while(move |tick| *tick <= max)
}

/// Formats 12345.0 as "12 345"; a number that is not whole gets one digit after the point.
pub(crate) fn thousands(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0.0), "0");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1000.0), "1 000");
        assert_eq!(thousands(1_234_567.0), "1 234 567");
        assert_eq!(thousands(0.5), "0.5");
    }

    #[test]
    fn an_axis_has_round_numbers() {
        assert_eq!(ticks(97.0).collect::<Vec<_>>(), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(ticks(1.0).collect::<Vec<_>>(), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(Text("a<b & c").to_string(), "a&lt;b &amp; c");
    }
}
