-- Lost: invoices, payments, and the messages of payment providers.
drop function app.process_webhook(uuid, text, text);
drop function app.receive_webhook(uuid, text, text, text, jsonb, timestamptz);
drop table public.webhook_events;
drop table public.payments;
drop function app.settle_invoice();
drop function app.guard_payment();
drop table public.invoices;
drop function app.guard_invoice();
drop function app.lines_total(jsonb);
