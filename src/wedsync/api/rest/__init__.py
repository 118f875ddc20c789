"""The data API in PostgREST's dialect: request, plan, one statement as the caller's role, answer."""
