//! How columns by slot grow.

/// Makes a column long enough for this number. Doubling, but from a thirty-second part on straight to what a full cache needs
/// (number 0, all entries, and one that comes before another goes): linear memory never gets its holes back. `true` if the
/// column has moved.
pub(crate) fn grow<T: Clone>(column: &mut Vec<T>, number: u32, expected: u32, empty: T) -> bool {
    let (len, needed) = (column.len(), number as usize + 1);
    if needed <= len {
        return false;
    }
    let moves = needed > column.capacity();
    if moves && len <= expected as usize {
        let full = expected as usize + 2;
        let wanted = if len < full / 32 { len.max(16) } else { full.saturating_sub(len) };
        column.reserve_exact(wanted.max(needed - len));
    }
    column.resize(needed, empty);
    moves
}
