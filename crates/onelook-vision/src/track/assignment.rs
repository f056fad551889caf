//! Which detection belongs to which track: the pairs of least total cost.
//!
//! Leaving a track and a detection without a partner costs as much as a pair at the limit, as when the
//! matrix is padded to a square with half the limit. That is not the best full assignment cut at the
//! limit: two cheap pairs may win over one very cheap one.

/// Costs of pairs, a row per track and a column per detection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CostMatrix {
    pub rows: usize,
    pub columns: usize,
    values: Vec<f64>,
}

impl CostMatrix {
    /// The cost of each pair, by row and column.
    pub fn new(rows: usize, columns: usize, mut cost: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            values.extend((0..columns).map(|column| cost(row, column)));
        }
        Self {
            rows,
            columns,
            values,
        }
    }

    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }
}

/// The pairs of an assignment, and what stays without a partner; each in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Assignment {
    /// Row and column.
    pub pairs: Vec<(usize, usize)>,
    pub rows: Vec<usize>,
    pub columns: Vec<usize>,
}

impl Assignment {
    /// From the partner of each row.
    pub fn from_partners(partners: &[Option<usize>], columns: usize) -> Self {
        let mut assignment = Self::default();
        let mut free = vec![true; columns];
        for (row, partner) in partners.iter().enumerate() {
            match *partner {
                Some(column) => {
                    free[column] = false;
                    assignment.pairs.push((row, column));
                }
                None => assignment.rows.push(row),
            }
        }
        assignment.columns = (0..columns).filter(|&column| free[column]).collect();
        assignment
    }

    /// The same with what rows and columns stand for.
    pub fn named(self, rows: &[usize], columns: &[usize]) -> Self {
        Self {
            pairs: self
                .pairs
                .iter()
                .map(|&(row, column)| (rows[row], columns[column]))
                .collect(),
            rows: self.rows.iter().map(|&row| rows[row]).collect(),
            columns: self.columns.iter().map(|&column| columns[column]).collect(),
        }
    }
}

/// The assignment of least total cost, by shortest augmenting paths (Jonker and Volgenant, 1987).
///
/// A cost that is NaN is above any limit. Rows are taken in order and among equal costs the first
/// column wins.
pub(super) fn assign(costs: &CostMatrix, limit: f64) -> Assignment {
    let (rows, columns) = (costs.rows, costs.columns);
    // What a pair is worth: staying alone costs 0 for every row.
    let reduced = |row: usize, column: usize| {
        let cost = costs.at(row, column) - limit;
        if cost < 0.0 { cost } else { f64::INFINITY }
    };
    let mut row_price = vec![0.0; rows];
    let mut column_price = vec![0.0; columns];
    let mut partner_of_row: Vec<Option<usize>> = vec![None; rows];
    let mut partner_of_column: Vec<Option<usize>> = vec![None; columns];
    for start in 0..rows {
        let mut distance = vec![f64::INFINITY; columns];
        let mut came_from = vec![start; columns];
        let mut is_done = vec![false; columns];
        let mut visited = vec![(start, 0.0)];
        // The best way to end at a row that then stays alone.
        let mut alone = (f64::INFINITY, start);
        let (mut row, mut so_far) = (start, 0.0);
        let (end, length) = loop {
            let ends_here = so_far - row_price[row];
            if ends_here < alone.0 {
                alone = (ends_here, row);
            }
            let mut nearest: Option<usize> = None;
            for column in (0..columns).filter(|&column| !is_done[column]) {
                let through = so_far + reduced(row, column) - row_price[row] - column_price[column];
                if through < distance[column] {
                    distance[column] = through;
                    came_from[column] = row;
                }
                if nearest.is_none_or(|nearest| distance[column] < distance[nearest]) {
                    nearest = Some(column);
                }
            }
            match nearest {
                Some(column) if distance[column] < alone.0 => {
                    is_done[column] = true;
                    so_far = distance[column];
                    match partner_of_column[column] {
                        Some(next) => {
                            visited.push((next, so_far));
                            row = next;
                        }
                        None => break (Some(column), so_far),
                    }
                }
                _ => break (None, alone.0),
            }
        };
        for (row, reached) in visited {
            row_price[row] += length - reached;
        }
        for column in (0..columns).filter(|&column| is_done[column]) {
            column_price[column] -= length - distance[column];
        }
        // Partners change along the path, back to where it began.
        let mut free = match end {
            Some(column) => Some(column),
            None if alone.1 == start => continue,
            None => partner_of_row[alone.1].take(),
        };
        while let Some(column) = free {
            let row = came_from[column];
            partner_of_column[column] = Some(row);
            free = partner_of_row[row].replace(column);
            if row == start {
                break;
            }
        }
    }
    Assignment::from_partners(&partner_of_row, columns)
}

/// Pairs that prefer each other, round by round: in each the cheapest column of a row whose cheapest
/// row it is, below a limit that falls by `step`; until a round has none.
pub(super) fn mutual_pairs(costs: &CostMatrix, limit: f64, step: f64) -> Assignment {
    let mut partners: Vec<Option<usize>> = vec![None; costs.rows];
    let mut is_taken = vec![false; costs.columns];
    let mut limit = limit;
    loop {
        let free_rows: Vec<usize> = (0..costs.rows)
            .filter(|&row| partners[row].is_none())
            .collect();
        let free_columns: Vec<usize> = (0..costs.columns)
            .filter(|&column| !is_taken[column])
            .collect();
        let cheapest_column = |row: usize| {
            let columns = free_columns.iter().copied();
            columns.min_by(|&a, &b| costs.at(row, a).total_cmp(&costs.at(row, b)))
        };
        let cheapest_row = |column: usize| {
            let rows = free_rows.iter().copied();
            rows.min_by(|&a, &b| costs.at(a, column).total_cmp(&costs.at(b, column)))
        };
        let mutual = |&row: &usize| {
            let column = cheapest_column(row)?;
            let is_mutual = cheapest_row(column) == Some(row) && costs.at(row, column) < limit;
            is_mutual.then_some((row, column))
        };
        let pairs: Vec<(usize, usize)> = free_rows.iter().filter_map(mutual).collect();
        if pairs.is_empty() {
            return Assignment::from_partners(&partners, costs.columns);
        }
        for (row, column) in pairs {
            partners[row] = Some(column);
            is_taken[column] = true;
        }
        limit -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(costs: &[&[f64]], limit: f64) -> Vec<(usize, usize)> {
        let columns = costs.first().map_or(0, |row| row.len());
        let matrix = CostMatrix::new(costs.len(), columns, |row, column| costs[row][column]);
        assign(&matrix, limit).pairs
    }

    #[test]
    fn two_pairs_below_the_limit_win_over_one_that_is_cheaper() {
        assert_eq!(pairs(&[&[0.1, 0.5], &[0.3, 9.0]], 0.8), [(0, 1), (1, 0)]);
        assert_eq!(pairs(&[&[0.1, 0.7], &[0.6, 9.0]], 0.8), [(0, 0)]);
    }

    #[test]
    fn what_is_above_the_limit_or_unknown_stays_alone() {
        assert_eq!(pairs(&[&[0.9, f64::NAN]], 0.8), []);
        let none = assign(&CostMatrix::new(0, 3, |_, _| 0.0), 0.8);
        assert_eq!(none.columns, [0, 1, 2]);
        let none = assign(&CostMatrix::new(2, 0, |_, _| 0.0), 0.8);
        assert_eq!(none.rows, [0, 1]);
    }

    #[test]
    fn among_equal_costs_the_first_wins() {
        assert_eq!(pairs(&[&[0.5, 0.5], &[0.5, 0.5]], 0.8), [(0, 0), (1, 1)]);
    }

    /// The least cost over all partial assignments, tried one by one.
    fn least(costs: &[Vec<f64>], limit: f64, row: usize, taken: &mut [bool]) -> f64 {
        if row == costs.len() {
            return 0.0;
        }
        let mut best = least(costs, limit, row + 1, taken);
        for column in 0..taken.len() {
            if !taken[column] {
                taken[column] = true;
                let cost = costs[row][column] - limit;
                best = best.min(cost + least(costs, limit, row + 1, taken));
                taken[column] = false;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_other_assignment_costs_less(
            costs in (1..6_usize, 1..6_usize).prop_flat_map(|(rows, columns)| {
                prop::collection::vec(prop::collection::vec(0.0..1.0_f64, columns), rows)
            }),
            limit in 0.1..0.9_f64,
        ) {
            let columns = costs[0].len();
            let matrix = CostMatrix::new(costs.len(), columns, |row, column| costs[row][column]);
            let found = assign(&matrix, limit);
            let total: f64 = found.pairs.iter().map(|&(r, c)| costs[r][c] - limit).sum();
            let best = least(&costs, limit, 0, &mut vec![false; columns]);
            prop_assert!((total - best).abs() < 1e-9, "{total} {best}");
            prop_assert_eq!(found.pairs.len() + found.rows.len(), costs.len());
            prop_assert_eq!(found.pairs.len() + found.columns.len(), columns);
        }
    }
}
