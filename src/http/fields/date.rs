//! HTTP-dates as they are met (RFC 9110 §5.6.7).

use ::http::HeaderValue;

/// An HTTP-date in any of its three forms, in milliseconds since the Unix epoch. `None` before 1970.
///
/// Lenient where nothing else can be meant: letter case counts nowhere, the day of the week need not be the right one,
/// and a second of 60 is one of 59. Strict otherwise: `UTC`, other zones, one-digit hours, two-digit years (but in RFC
/// 850's form), missing commas and doubled spaces make it no date. RFC 850's two digits are the year, at most 50 years ahead of 2020, as they would be
/// for a reader without a clock: 70 to 99 are 1970 to 1999, the others 2000 to 2069.
pub(in crate::http) fn date_ms(value: &HeaderValue) -> Option<u64> {
    let text = super::trim(value.as_bytes());
    let text = text.to_ascii_lowercase();
    let moment = imf_fixdate(&text).or_else(|| rfc850(&text)).or_else(|| asctime(&text))?;
    moment.ms()
}

struct Moment {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

const WEEKDAYS: [&[u8]; 7] = [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];
const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// `sun, 06 nov 1994 08:49:37 gmt`
fn imf_fixdate(text: &[u8]) -> Option<Moment> {
    let rest = text.strip_suffix(b" gmt")?;
    let (weekday, rest) = split(rest, b", ")?;
    is_weekday(weekday, true).then_some(())?;
    let [day, month, year, time] = fields(rest, b' ')?;
    Some(Moment { year: number(year, 4)?, month: month_of(month)?, day: number(day, 2)?, second: second_of_day(time)? })
}

/// `sunday, 06-nov-94 08:49:37 gmt`
fn rfc850(text: &[u8]) -> Option<Moment> {
    let rest = text.strip_suffix(b" gmt")?;
    let (weekday, rest) = split(rest, b", ")?;
    is_weekday(weekday, false).then_some(())?;
    let (date, time) = split(rest, b" ")?;
    let [day, month, year] = fields(date, b'-')?;
    let year = number(year, 2)?;
    Some(Moment {
        year: if year < 70 { 2000 + year } else { 1900 + year },
        month: month_of(month)?,
        day: number(day, 2)?,
        second: second_of_day(time)?,
    })
}

/// `sun nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<Moment> {
    let (weekday, rest) = split(text, b" ")?;
    is_weekday(weekday, true).then_some(())?;
    let (month, rest) = split(rest, b" ")?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = match day {
        [b' ', digit] => number(&[*digit], 1)?,
        two => number(two, 2)?,
    };
    let [time, year] = fields(rest.strip_prefix(b" ")?, b' ')?;
    Some(Moment { year: number(year, 4)?, month: month_of(month)?, day, second: second_of_day(time)? })
}

impl Moment {
    fn ms(&self) -> Option<u64> {
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let length = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if self.day == 0 || self.day > length || self.year < 1970 {
            return None;
        }
        // Days since 1970-01-01: a year is counted from March on, so that its leap day is its last.
        let (year, month) = if self.month <= 2 { (self.year - 1, self.month + 9) } else { (self.year, self.month - 3) };
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + self.day - 1;
        let days = days.checked_sub(719_468)?;
        Some((days * 86_400 + self.second) * 1000)
    }
}

fn is_weekday(name: &[u8], short: bool) -> bool {
    WEEKDAYS.iter().any(|day| if short { day.get(..3) == Some(name) } else { *day == name })
}

fn month_of(name: &[u8]) -> Option<u64> {
    let at = MONTHS.iter().position(|month| *month == name)?;
    u64::try_from(at + 1).ok()
}

fn second_of_day(time: &[u8]) -> Option<u64> {
    let [hour, minute, second] = fields(time, b':')?;
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

fn number(digits: &[u8], length: usize) -> Option<u64> {
    if digits.len() != length {
        return None;
    }
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

fn fields<const N: usize>(text: &[u8], separator: u8) -> Option<[&[u8]; N]> {
    let parts: Vec<_> = text.split(|byte| *byte == separator).collect();
    parts.try_into().ok()
}

fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}
