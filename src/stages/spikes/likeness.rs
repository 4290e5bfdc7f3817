//! How unlike anything before the last values of a series are. Integers only.

/// Hours that are compared at once, and what each weighs, oldest first, in powers of two: the last one counts as
/// much as all before it.
pub const SHAPE: usize = 5;
const WEIGHTS: [u32; SHAPE] = [0, 1, 2, 3, 4];
/// Earlier hours in which something similar is looked for: four weeks.
pub const LOOK_BACK: usize = 24 * 28;
/// An hour further from this time of day counts a fifth more.
const HOURS_TO_DOUBLE: i128 = 5;
/// The distance of five values that are each one off.
pub const WHOLE: i128 = 31 * HOURS_TO_DOUBLE;

/// Hours between two times of day, the shorter way round.
pub fn hours_apart(a: u8, b: u8) -> u8 {
    let apart = a.abs_diff(b);
    apart.min(24u8.saturating_sub(apart))
}

fn further(apart: usize) -> i128 {
    HOURS_TO_DOUBLE + i128::try_from(apart).unwrap_or(0)
}

/// The distance of the last five values, none beyond 10^28, from the most similar five before them but one: two
/// days that happen to be alike are no pattern. `hours` has the hours of the day of the values. Of values closer
/// than an hour only those are compared that are a multiple of `stride` apart. `None` where there are not two.
pub fn unlike(values: &[i128], hours: &[u8], stride: usize) -> Option<i128> {
    let (before, recent) = values.split_at_checked(values.len().checked_sub(SHAPE)?)?;
    let (last, hour) = (recent.last()?, *hours.last()?);
    let stride = stride.max(1);
    let first = (stride - SHAPE % stride) % stride;
    let ends = before.iter().zip(hours).enumerate().skip(SHAPE - 1).rev().skip(first).step_by(stride).take(LOOK_BACK);
    let (mut nearest, mut second) = (i128::MAX, i128::MAX);
    // What is as far as the second nearest need not be added up. By hours apart: a division for each would take
    // longer than all the rest.
    let mut bounds = [i128::MAX; 13];
    for (end, (then, at)) in ends {
        let apart = usize::from(hours_apart(hour, *at)).min(12);
        let bound = bounds[apart];
        if (last - then).abs() << WEIGHTS[SHAPE - 1] >= bound {
            continue;
        }
        let Some(earlier) = before.get(end + 1 - SHAPE..=end) else { continue };
        let parts = recent.iter().zip(earlier).zip(WEIGHTS).map(|((now, then), weight)| (now - then).abs() << weight);
        let distance = parts.sum::<i128>();
        if distance >= bound {
            continue;
        }
        let distance = distance * further(apart);
        if distance < nearest {
            (nearest, second) = (distance, nearest);
        } else {
            second = second.min(distance);
        }
        for (apart, bound) in bounds.iter_mut().enumerate() {
            *bound = second / further(apart);
        }
    }
    (second < i128::MAX).then_some(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_twice_before_is_known() {
        let hours: Vec<u8> = (0..96).map(|hour| hour % 24).collect();
        let daily: Vec<i128> = hours.iter().map(|hour| i128::from(*hour) * 10).collect();
        assert_eq!(unlike(&daily, &hours, 1), Some(0));
        // Once is not enough.
        assert!(unlike(&daily[..48], &hours[..48], 1) > Some(0));
        assert_eq!(unlike(&daily[..9], &hours[..9], 1), None);
        // The last of the five weighs sixteen, the first one.
        let mut odd = daily.clone();
        *odd.last_mut().unwrap() += 7;
        assert_eq!(unlike(&odd, &hours, 1), Some(7 * 16 * 5));
        // The same values at another time of day are a little further.
        let shifted: Vec<u8> =
            hours.iter().enumerate().map(|(at, hour)| if at == 95 { (hour + 2) % 24 } else { *hour }).collect();
        assert_eq!(unlike(&odd, &shifted, 1), Some(7 * 16 * 7));
        // By the half hour, what is an odd number of values away is not looked at.
        let halves: Vec<u8> = (0..192).map(|half| half / 2 % 24).collect();
        let values: Vec<i128> = (0..192).map(|half| i128::from(half % 2 == 0) * 100 + half % 48).collect();
        assert_eq!(unlike(&values, &halves, 2), Some(0));
    }
}
