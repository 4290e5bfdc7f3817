//! Savings in the summary: the answers first, in words, for somebody who has never seen a plan.
