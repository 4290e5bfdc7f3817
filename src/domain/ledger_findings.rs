//! What is known to go wrong in the ledgers of other systems, by name. A row that shows one of these is used
//! or left out as the meaning says, and counted in `ledger_findings.csv`: it is never silently repaired.

use super::money::Amount;

macro_rules! findings {
    ($($variant:ident $name:literal $meaning:literal)*) => {
        /// Something that a ledger's row shows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Finding { $($variant),* }

        impl Finding {
            /// All of them, in the order of their declaration.
            pub const ALL: [Finding; [$(Finding::$variant),*].len()] = [$(Finding::$variant),*];

            /// As `ledger_findings.csv` writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Finding::$variant => $name),* }
            }

            /// What the rows show, how they were used, and what their amount is.
            pub const fn meaning(self) -> &'static str {
                match self { $(Finding::$variant => $meaning),* }
            }
        }
    };
}

findings! {
    RecoveredFromBreakdown "recovered_from_breakdown"
        "cost 0 although the row's own breakdown has one; the breakdown's total is used and is the amount"
    Unpriced "unpriced"
        "the call succeeded and has no cost, or a 0 that means no price was known; the price book decides"
    CacheHitCosted "cache_hit_costed"
        "a hit in the gateway's own cache, which no provider bills, has a cost; it is not expected, and is the amount"
    FailureCosted "failure_costed"
        "a call that failed has a cost; it is not expected, and is the amount"
    FailureUnmeasured "failure_unmeasured"
        "a call that failed has no usage although a provider may have billed it"
    AnswerNotCounted "answer_not_counted"
        "input but no output was counted: a client that left early; the provider bills the whole answer"
    Duplicate "duplicate"
        "the same call under another id within the same second; kept apart as duplicate_in_ledger, its cost is the amount"
    ReadAgain "read_again"
        "the retrieval of a stored response was logged as a call; kept apart as duplicate_in_ledger, its cost is the amount"
    Superseded "superseded"
        "an earlier version of a row that stands later; only the latest counts"
    Deleted "deleted"
        "the row's latest version marks it as deleted; it is left out, and its cost is the amount"
    CostOnParent "cost_on_parent"
        "a step around other calls has a cost of its own; it repeats theirs and is left out, its cost is the amount"
    InAnotherLedger "in_another_ledger"
        "a ledger that stands earlier in the job has the same call; that row counts, this cost is the amount"
    CacheReadAtInputPrice "cache_read_at_input_price"
        "cached input was priced like uncached input; the ledger's cost is kept and is the amount"
    CacheOutsideInput "cache_outside_input"
        "cached tokens exceed the input that should include them; input is taken as it stands, without them"
    CacheCountedTwice "cache_counted_twice"
        "input is at least the cached tokens and both were priced: cached input may be in both; the cost is kept"
    TokensDoNotAddUp "tokens_do_not_add_up"
        "the total differs from the sum of its parts; the parts are used"
    TokensOutsideClasses "tokens_outside_classes"
        "the total exceeds the parts, such as hidden thinking; the excess has no class and no price"
    CostOutsideTotal "cost_outside_total"
        "the parts of the cost do not sum to its total; the total is used, what the parts differ by is the amount"
    UpstreamCostTrusted "upstream_cost_trusted"
        "the cost is a figure that the upstream answered, in a unit that nobody checked; it is kept and is the amount"
    FlatImagePrice "flat_image_price"
        "an image has a size or quality but its cost has no breakdown: a flat price; it is kept and is the amount"
    Unmodelled "unmodelled"
        "money without a model or usage; it is kept under the model `unmodelled` and is the amount"
    FloatNoise "float_noise"
        "the cost passed through a binary float and was rounded to 12 decimals; what that removed is the amount"
    IdNotProviders "id_not_providers"
        "the row's id is not the provider's; the call is compared by bucket"
    KeyRotated "key_rotated"
        "the key was rotated; its successor names the team"
    KeyDeleted "key_deleted"
        "the key was deleted; what is kept of it names the team"
    KeyUnknown "key_unknown"
        "no table knows the key"
    NoTeam "no_team"
        "nothing in the row or around its key names a team"
    SeveralTeams "several_teams"
        "the row names several teams; it is given to none rather than counted for each"
    TeamKeyVariant "team_key_variant"
        "the team stands under a key of other letter case; it is used"
    BatchWithoutOwner "batch_without_owner"
        "a batch that neither a user nor a team owns"
    NoFinalStatus "no_final_status"
        "the call never got a final status; it counts as a timeout"
    Unfinished "unfinished"
        "the row was written before the call ended and may lack its final cost"
    ParentShared "parent_shared"
        "several calls name the same parent and attempt; each stands under its own id"
    RetriedElsewhere "retried_elsewhere"
        "another channel or key was tried before and may have billed as well"
    QuotaFloor "quota_floor"
        "the charge was raised to the least quota; what that added in money is the amount"
    QuotaFormula "quota_formula"
        "the quota is not what tokens and ratios give; what it differs by in money is the amount"
    Uncharged "uncharged"
        "usage was counted and nothing charged"
    NoUsage "no_usage"
        "neither tokens nor a price: the upstream may have failed and billed"
    Correction "correction"
        "a correction of an earlier charge, not a call; it is left out, and its amount is the amount"
    AmbiguousTime "ambiguous_time"
        "a local time that came twice, because clocks were set back; the earlier of the two is used"
    PostedTwice "posted_twice"
        "the same correction of a task stands twice; it is left out, and its amount is the amount"
}

impl Finding {
    /// The row is a copy of another one: one call under two request ids (contract 4.8).
    pub const fn is_copy(self) -> bool {
        matches!(self, Finding::Duplicate | Finding::ReadAgain)
    }
}

/// A finding of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub finding: Finding,
    /// What it comes to, as [`Finding::meaning`] says, in the row's currency; 0 where it is not money.
    pub amount: Amount,
}
