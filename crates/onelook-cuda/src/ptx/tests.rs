//! What the text looks like, what it refuses, and whether ptxas takes all of it.
