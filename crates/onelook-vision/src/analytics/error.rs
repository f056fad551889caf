//! What can be wrong with lines, zones, planes and their settings.

/// A description of lines or zones that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AnalyticsError {
    /// A line whose start is its end.
    #[error("line '{name}' has no length: give two different points")]
    NoLength {
        /// Of the line.
        name: String,
    },
    /// A polygon of too few or too many corners.
    #[error("zone '{name}' has {corners} corners: give 3 to {limit}")]
    Corners {
        /// Of the zone.
        name: String,
        /// How many it has.
        corners: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A polygon whose sides meet.
    #[error("zone '{name}' crosses itself: give its corners in the order of its outline")]
    CrossesItself {
        /// Of the zone.
        name: String,
    },
    /// A point that no object can come to.
    #[error(
        "'{name}': the point ({x}, {y}) lies outside of the image, which ends at ({width}, {height})"
    )]
    Outside {
        /// Of the line or the zone.
        name: String,
        /// Of the point.
        x: f64,
        /// Of the point.
        y: f64,
        /// Largest `x`.
        width: f64,
        /// Largest `y`.
        height: f64,
    },
    /// Two places of one name, or a name of no letters.
    #[error("'{name}' names more than one line or zone, or nothing: give each a name of its own")]
    Name {
        /// The name.
        name: String,
    },
    /// A number that is NaN or infinite, or below its least value.
    #[error("{setting} is {value}: give a number {expected}")]
    Setting {
        /// What is set.
        setting: &'static str,
        /// To what.
        value: f64,
        /// What would do.
        expected: &'static str,
    },
    /// Four pairs of points that determine no view of a plane.
    #[error("the calibration is impossible: {reason}")]
    Calibration {
        /// What is wrong and what would do.
        reason: &'static str,
    },
}

/// Refuses a number that is NaN, infinite or below `least`.
pub(super) fn at_least(
    setting: &'static str,
    value: f64,
    least: f64,
    expected: &'static str,
) -> Result<(), AnalyticsError> {
    match value.is_finite() && value >= least {
        true => Ok(()),
        false => Err(AnalyticsError::Setting {
            setting,
            value,
            expected,
        }),
    }
}
