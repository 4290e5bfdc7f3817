//! Exact arithmetic on counts of 10^-18, by long multiplication.

/// Quotient and remainder of `a × b ÷ d`, bit by bit.
fn long(a: u128, b: u128, d: u128) -> (u128, u128) {
    let (mut quotient, mut remainder) = (0u128, 0u128);
    for bit in (0..128).rev() {
        quotient *= 2;
        remainder *= 2;
        if b >> bit & 1 == 1 {
            quotient += a / d;
            remainder += a % d;
        }
        while remainder >= d {
            quotient += 1;
            remainder -= d;
        }
    }
    (quotient, remainder)
}

/// `a × b ÷ d`, rounded once, half away from zero.
pub fn mul_div(a: i128, b: i128, d: i128) -> i128 {
    let (quotient, remainder) = long(a.unsigned_abs(), b.unsigned_abs(), d.unsigned_abs());
    let rounded = quotient + u128::from(remainder * 2 >= d.unsigned_abs());
    a.signum() * b.signum() * d.signum() * i128::try_from(rounded).unwrap()
}

/// Parts in proportion to the weights, by largest remainder, ties to the earlier; `None` when there is
/// nothing to go by.
pub fn split(whole: i128, weights: &[i128]) -> Option<Vec<i128>> {
    let total: i128 = weights.iter().sum();
    if total == 0 || weights.iter().any(|weight| *weight < 0) {
        return None;
    }
    let cut: Vec<(u128, u128)> =
        weights.iter().map(|weight| long(whole.unsigned_abs(), weight.unsigned_abs(), total.unsigned_abs())).collect();
    let mut parts: Vec<u128> = cut.iter().map(|(part, _)| *part).collect();
    let mut left = whole.unsigned_abs() - parts.iter().sum::<u128>();
    let mut had: Vec<bool> = vec![false; parts.len()];
    while left > 0 {
        let mut best: Option<usize> = None;
        for at in 0..parts.len() {
            if !had[at] && best.is_none_or(|best| cut[at].1 > cut[best].1) {
                best = Some(at);
            }
        }
        let best = best.unwrap();
        had[best] = true;
        parts[best] += 1;
        left -= 1;
    }
    Some(parts.into_iter().map(|part| whole.signum() * i128::try_from(part).unwrap()).collect())
}
