//! A played Supabase: `PostgREST` and what describes it.
