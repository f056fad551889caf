//! What is counted, and how.

use onelook::printable::printable;
use onelook::vision::analytics::{
    AnalyticsOptions, Anchor, BandOptions, Coordinates, Line, LineRule, Point, Zone, ZoneOptions,
};

use crate::failure::Failure;
use crate::flags::{CountArgs, Mode, Unit};

impl CountArgs {
    /// Lines and zones as the flags say, on images of a size that is still to be filled in.
    pub fn analytics_options(&self) -> Result<AnalyticsOptions, Failure> {
        if self.line.is_empty() && self.zone.is_empty() {
            return Err(Failure::Usage(
                "nothing to count: give a --line NAME=X1,Y1,X2,Y2 or a --zone NAME=X,Y,X,Y,X,Y"
                    .to_owned(),
            ));
        }
        let anchor = Anchor::NAMED.iter().find(|(name, _)| *name == self.anchor);
        let &(_, anchor) = anchor.ok_or_else(|| {
            let names = Anchor::NAMED.map(|(name, _)| name).join(", ");
            Failure::Usage(format!(
                "--anchor '{}': expected one of {names}",
                printable(&self.anchor)
            ))
        })?;
        let rule = match self.mode {
            Mode::Default => LineRule::Band(BandOptions {
                anchor,
                once: self.once,
                ..BandOptions::default()
            }),
            Mode::Supervision => LineRule::supervision(),
            Mode::Ultralytics => LineRule::Ultralytics,
        };
        let point = |&[x, y]: &[f64; 2]| Point::new(x, y);
        let lines = self.line.iter().map(|(name, points)| Line {
            name: name.clone(),
            start: point(&points[0]),
            end: point(&points[1]),
            rule: rule.clone(),
        });
        let zones = self.zone.iter().map(|(name, points)| Zone {
            name: name.clone(),
            corners: points.iter().map(point).collect(),
            options: ZoneOptions {
                anchor,
                ..ZoneOptions::default()
            },
        });
        Ok(AnalyticsOptions {
            coordinates: match self.coordinates {
                Unit::Pixels => Coordinates::Pixels,
                Unit::Fractions => Coordinates::Fractions,
            },
            lines: lines.collect(),
            zones: zones.collect(),
            ..AnalyticsOptions::default()
        })
    }
}
