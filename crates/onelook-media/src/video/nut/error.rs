//! How a NUT stream can lie, one error each.

use std::io;

/// Why a NUT stream gives no more frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NutError {
    /// It ends within a header or a frame: its writer died.
    #[error("the stream breaks off")]
    BrokenOff,
    /// The system refused to read.
    #[error("the stream cannot be read: {0}")]
    Unreadable(String),
    /// Nothing came in time.
    #[error("nothing came in time")]
    TimedOut,
    /// The first bytes are others.
    #[error("this is no NUT stream")]
    NotNut,
    /// A version that nobody has described.
    #[error("NUT version {0} is not known")]
    Version(u64),
    /// Packets that do not belong where they are.
    #[error("a packet is out of order")]
    Order,
    /// The headers in the middle are not those of the start.
    #[error("the headers change in the middle")]
    Changed,
    /// More than one stream, or none of video, or of compressed video.
    #[error("there is not exactly one stream of raw video")]
    NotOneVideo,
    /// A checksum is wrong.
    #[error("a checksum is wrong")]
    Checksum,
    /// A number is out of bounds.
    #[error("a number is out of bounds")]
    Number,
    /// A packet of an impossible size.
    #[error("a packet of {0} bytes")]
    PacketSize(u64),
    /// The table of frame codes does not have 256 of them.
    #[error("the table of frame codes is wrong")]
    FrameTable,
    /// A frame begins with a code that stands for none.
    #[error("frame code {0} stands for nothing")]
    FrameCode(u8),
    /// A time base of zero, or one that is not there.
    #[error("the time base is wrong")]
    TimeBase,
    /// An image without pixels.
    #[error("an image has no pixels")]
    ImageSize,
    /// A frame of another size than its image has.
    #[error("a frame of {actual} bytes instead of {expected}")]
    FrameSize {
        /// Bytes of the image.
        expected: u64,
        /// Bytes that the stream announces.
        actual: u64,
    },
}

impl From<io::Error> for NutError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::BrokenOff,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Unreadable(error.to_string()),
        }
    }
}
