"""Many cases: drawn in shards, each judged once, kept in a store."""
