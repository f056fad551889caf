//! Requests of the server to others: URLs, which addresses are public, and connections to one address.

pub mod connect;
pub mod url;
