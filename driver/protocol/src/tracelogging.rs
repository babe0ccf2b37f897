//! The metadata of TraceLogging events (Microsoft, `TraceLoggingProvider.h`,
//! "About TraceLogging"): an event that describes itself, so that it is decoded
//! without a manifest.

/// How a field is encoded and shown: `TlgIn…`, with `TlgOut…` where the value is
/// not shown as the type implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string of 8-bit characters with a terminator.
    String,
    /// One byte, shown in hexadecimal.
    Hex8,
    /// Four bytes, a number.
    U32,
    /// Four bytes, shown in hexadecimal.
    Hex32,
    /// Eight bytes, shown in hexadecimal.
    Hex64,
    /// Four bytes, shown as an NTSTATUS.
    NtStatus,
}

impl Kind {
    /// The type of the encoding, and of the display unless it is 0.
    const fn types(self) -> (u8, u8) {
        match self {
            Self::String => (2, 0),
            Self::Hex8 => (4, 4),
            Self::U32 => (8, 0),
            Self::Hex32 => (20, 0),
            Self::Hex64 => (21, 0),
            Self::NtStatus => (20, 14),
        }
    }
}

/// A field: its name and kind.
pub type Field = (&'static str, Kind);

/// The driver's provider.
pub const PROVIDER_NAME: &str = "PvPanic";

/// What TraceLogging makes of [`PROVIDER_NAME`], so that tools find the provider
/// by its name: {46BB26BC-8962-5175-D13F-4F6A95A62046}.
pub const PROVIDER_ID: u128 = 0x46BB_26BC_8962_5175_D13F_4F6A_95A6_2046;

/// The channel of TraceLogging events.
pub const CHANNEL: u8 = 11;

/// What the reserved word of an `EVENT_DATA_DESCRIPTOR` says of the event's metadata.
pub const EVENT_METADATA: u32 = 1;

/// What the reserved word of an `EVENT_DATA_DESCRIPTOR` says of the provider's.
pub const PROVIDER_METADATA: u32 = 2;

/// Bytes of [`provider`].
#[must_use]
pub const fn provider_size(name: &str) -> usize {
    2 + name.len() + 1
}

/// The metadata of a provider: size and name.
#[must_use]
pub const fn provider<const SIZE: usize>(name: &str) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let end = put_size(&mut bytes);
    put_name(&mut bytes, end, name);
    bytes
}

/// Bytes of [`event`].
#[must_use]
pub const fn event_size(name: &str, fields: &[Field]) -> usize {
    let mut size = 2 + 1 + name.len() + 1;
    let mut index = 0;
    while index < fields.len() {
        let (name, kind) = fields[index];
        let (_, shown) = kind.types();
        size += name.len() + 1 + if shown == 0 { 1 } else { 2 };
        index += 1;
    }
    size
}

/// The metadata of an event: size, tags (none), name, and the fields.
#[must_use]
pub const fn event<const SIZE: usize>(name: &str, fields: &[Field]) -> [u8; SIZE] {
    /// Says that the type of the display follows.
    const CHAIN: u8 = 0x80;
    let mut bytes = [0; SIZE];
    let tags = put_size(&mut bytes);
    let mut end = put_name(&mut bytes, tags + 1, name);
    let mut index = 0;
    while index < fields.len() {
        let (name, kind) = fields[index];
        end = put_name(&mut bytes, end, name);
        let (encoded, shown) = kind.types();
        if shown == 0 {
            bytes[end] = encoded;
            end += 1;
        } else {
            bytes[end] = encoded | CHAIN;
            bytes[end + 1] = shown;
            end += 2;
        }
        index += 1;
    }
    bytes
}

/// Writes the size of the whole and answers where to go on.
const fn put_size<const SIZE: usize>(bytes: &mut [u8; SIZE]) -> usize {
    assert!(SIZE < 0x1_0000, "metadata has a size of 16 bits");
    let [low, high, ..] = SIZE.to_le_bytes();
    bytes[0] = low;
    bytes[1] = high;
    2
}

/// Writes a name, leaves its terminator, and answers where to go on.
const fn put_name<const SIZE: usize>(bytes: &mut [u8; SIZE], start: usize, name: &str) -> usize {
    let name = name.as_bytes();
    let mut index = 0;
    while index < name.len() {
        bytes[start + index] = name[index];
        index += 1;
    }
    start + index + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_id_is_what_microsofts_crate_makes_of_the_name() {
        let theirs = tracelogging::Guid::from_name(PROVIDER_NAME);
        assert_eq!(theirs.to_u128(), PROVIDER_ID);
    }

    #[test]
    fn a_provider_is_its_size_and_name() {
        const SIZE: usize = provider_size("PvPanic");
        assert_eq!(&provider::<SIZE>("PvPanic"), b"\x0A\0PvPanic\0");
    }

    #[test]
    fn an_event_is_its_size_tags_name_and_fields() {
        const FIELDS: &[Field] = &[("Status", Kind::NtStatus), ("Key", Kind::U32)];
        const SIZE: usize = event_size("Refused", FIELDS);
        assert_eq!(
            &event::<SIZE>("Refused", FIELDS),
            b"\x19\0\0Refused\0Status\0\x94\x0EKey\0\x08"
        );
    }
}
