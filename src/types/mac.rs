use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac([u8; 6]);

/// Locally administered, unicast, and neither kubenet's 0a:58 nor docker's 02:42.
const OWN: [u8; 2] = [0x0a, 0x6b];

impl Mac {
    /// The address of a bridge that kboot makes: the same after every boot, and telling whose it is.
    pub fn of_bridge(addr: IpAddr) -> Self {
        let [a, b, c, d] = match addr {
            IpAddr::V4(addr) => addr.octets(),
            // FNV-1a: what tells two nodes apart may stand anywhere in 16 bytes.
            IpAddr::V6(addr) => addr
                .octets()
                .iter()
                .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
                .to_be_bytes(),
        };
        Self([OWN[0], OWN[1], a, b, c, d])
    }

    /// Whether it is one that `of_bridge` gives.
    pub fn is_own(&self) -> bool {
        self.0.starts_with(&OWN)
    }

    /// Whether a link can have it: a bridge that lost its last port has none, 00:00:00:00:00:00.
    pub fn is_usable(&self) -> bool {
        self.0 != [0; 6] && self.0[0] & 1 == 0
    }

    /// As the kernel takes it.
    pub fn bytes(&self) -> &[u8; 6] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Mac {
    type Error = ();

    fn try_from(bytes: &[u8]) -> Result<Self, ()> {
        bytes.try_into().map(Self).map_err(drop)
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<Vec<u8>> =
            text.split(':').map(|b| (b.len() == 2).then(|| u8::from_str_radix(b, 16).ok())?).collect();
        bytes.and_then(|b| Mac::try_from(b.as_slice()).ok()).ok_or_else(|| "is no Ethernet address".into())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridges_address_is_told_by_its_first_bytes() {
        let mac = Mac::of_bridge("10.7.3.1".parse().unwrap());
        assert_eq!((mac.to_string().as_str(), mac.is_own()), ("0a:6b:0a:07:03:01", true));
        let six = Mac::of_bridge("fd00:7:3::1".parse().unwrap());
        assert!(six.is_own() && six != Mac::of_bridge("fd00:7:4::1".parse().unwrap()));
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert!(mac.is_usable());
        for text in ["00:00:00:00:00:00", "01:00:5e:00:00:01"] {
            assert!(!text.parse::<Mac>().unwrap().is_usable(), "{text}");
        }
        for text in ["", "0a:6b", "0a:6b:0a:07:03:1", "0a:6b:0a:07:03:01:02", "0a:6b:0a:07:03:zz"] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
        assert!(!"02:42:ac:11:00:02".parse::<Mac>().unwrap().is_own());
    }
}
