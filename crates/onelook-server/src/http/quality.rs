//! Quality values of `Accept` and `Accept-Encoding` (RFC 9110, 12.4.2).

/// The quality among the parameters of an element, in thousandths, so that qualities compare exactly; 1000
/// if there is none, `None` if it is not a quality.
pub fn quality<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Option<u32> {
    let mut parameters = parameters.into_iter().map(str::trim);
    let quality = parameters.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let quality: f32 = match quality {
        Some(text) => text.trim().parse().ok()?,
        None => 1.0,
    };
    let is_quality = (0.0..=1.0).contains(&quality);
    is_quality.then_some((quality * 1000.0).round() as u32)
}
