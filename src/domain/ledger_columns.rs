//! The columns of a request ledger (contract 3.2): what every ledger is brought to, whatever wrote it.

/// What a column holds, whatever type a source stores it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Text,
    /// Money or a quantity: exact, never a binary float.
    Number,
    Instant,
    Flag,
}

macro_rules! columns {
    ($($variant:ident $name:literal $holds:ident)*) => {
        /// A column of the native schema, in the order of contract 3.2.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Column { $($variant),* }

        /// Name and content of every [`Column`], at its index.
        pub const COLUMNS: [(&str, Holds); [$(Column::$variant),*].len()] = [$(($name, Holds::$holds)),*];
    };
}

columns! {
    RequestId "request_id" Text
    Attempt "attempt" Number
    StartedAt "started_at" Instant
    FinishedAt "finished_at" Instant
    Provider "provider" Text
    Model "model" Text
    ProviderRequestId "provider_request_id" Text
    UpstreamProvider "upstream_provider" Text
    UpstreamAccount "upstream_account" Text
    UpstreamModel "upstream_model" Text
    UpstreamRequestId "upstream_request_id" Text
    UpstreamCost "upstream_cost" Number
    Account "account" Text
    SubAccount "sub_account" Text
    ApiKeyId "api_key_id" Text
    Team "team" Text
    UserId "user_id" Text
    Feature "feature" Text
    Client "client" Text
    Funding "funding" Text
    Status "status" Text
    ServiceTier "service_tier" Text
    Batch "batch" Flag
    InputTokens "input_tokens" Number
    CacheReadTokens "cache_read_tokens" Number
    CacheWrite5mTokens "cache_write_5m_tokens" Number
    CacheWrite1hTokens "cache_write_1h_tokens" Number
    OutputTokens "output_tokens" Number
    ReasoningTokens "reasoning_tokens" Number
    Images "images" Number
    ImageSize "image_size" Text
    ImageQuality "image_quality" Text
    Megapixels "megapixels" Number
    VideoSeconds "video_seconds" Number
    VideoResolution "video_resolution" Text
    AudioSeconds "audio_seconds" Number
    Characters "characters" Number
    ProviderCredits "provider_credits" Number
    WebSearches "web_searches" Number
    Builds "builds" Number
    ExtraMeters "extra_meters" Text
    ExpectedCost "expected_cost" Number
    ExpectedCurrency "expected_currency" Text
    ReportedCost "reported_cost" Number
    CreditsCharged "credits_charged" Number
    CreditUnit "credit_unit" Text
}

/// Columns that a ledger must have; every other one may be missing.
pub const REQUIRED: [Column; 5] = [Column::RequestId, Column::Attempt, Column::StartedAt, Column::Provider, Column::Model];

impl Column {
    /// As tables and headers write it.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    pub fn holds(self) -> Holds {
        self.entry().1
    }

    fn entry(self) -> (&'static str, Holds) {
        COLUMNS.get(self as usize).copied().unwrap_or(("", Holds::Text))
    }
}
