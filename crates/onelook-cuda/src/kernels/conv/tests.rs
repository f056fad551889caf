//! Convolutions against sums in f64.
