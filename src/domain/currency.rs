//! Currencies by their ISO 4217 codes.

use std::fmt;

/// An ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Not an active ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ISO 4217 currency code")]
pub struct UnknownCurrency(pub String);

/// Active ISO 4217 codes (list one, without funds and metals), in the order of the alphabet, each with a space behind it.
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD \
CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL \
HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD \
MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR \
SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES \
VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ";

/// Looks a code up in [`CURRENCIES`].
fn is_currency(code: &[u8; 3]) -> bool {
    let (codes, _) = CURRENCIES.as_bytes().as_chunks::<4>();
    codes.binary_search_by(|known| known[..3].cmp(code)).is_ok()
}

impl Currency {
    /// Sorts before every currency.
    pub const MIN: Currency = Currency([0; 3]);
    pub const USD: Currency = Currency(*b"USD");
    pub const EUR: Currency = Currency(*b"EUR");

    /// Reads a code in either case.
    ///
    /// # Errors
    /// Anything that is not an active ISO 4217 code.
    pub fn parse(text: &str) -> Result<Currency, UnknownCurrency> {
        let code: Option<[u8; 3]> = text.trim().as_bytes().try_into().ok();
        let code = code.map(|code| code.map(|letter| letter.to_ascii_uppercase()));
        code.filter(is_currency).map(Currency).ok_or_else(|| UnknownCurrency(text.chars().take(40).collect()))
    }

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_and_no_other() {
        for code in CURRENCIES.split_whitespace() {
            assert_eq!(Currency::parse(code).map(|currency| currency.code().to_string()), Ok(code.to_string()));
        }
        assert!(Currency::parse("usd").is_ok());
        assert!(["XYZ", "", "US", "USDX", "AAA", "ZZZ"].iter().all(|text| Currency::parse(text).is_err()));
    }
}
