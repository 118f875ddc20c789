-- depends: 0009_wedding
-- Invoices, payments, and what payment providers tell us.
--
-- Amounts are whole numbers of the currency's smallest unit. What is added up is added up here: a client's sums
-- are checked, never believed. The couple's partners and the one organization see an invoice; helpers of the couple
-- and other suppliers do not.

create function app.lines_total(lines jsonb) returns bigint
    language sql immutable
    set search_path = ''
as $$
    select case
        when jsonb_typeof(lines) <> 'array' then null
        else (
            select case when bool_and(
                            jsonb_typeof(line) = 'object'
                            and length(line ->> 'description') between 1 and 500
                            and jsonb_typeof(line -> 'quantity') = 'number'
                            and jsonb_typeof(line -> 'unit_minor') = 'number'
                            and (line ->> 'quantity')::numeric > 0
                            and (line ->> 'unit_minor')::numeric >= 0
                            and (line ->> 'unit_minor')::numeric % 1 = 0
                            and (line ->> 'quantity')::numeric * (line ->> 'unit_minor')::numeric % 1 = 0)
                        then sum((line ->> 'quantity')::numeric * (line ->> 'unit_minor')::numeric)::bigint
                   end
              from jsonb_array_elements(lines) as line)
    end
$$;
comment on function app.lines_total(jsonb) is
    'Sum of an invoice''s lines [{"description", "quantity", "unit_minor"}, …]; NULL where one of them is malformed.';
grant execute on function app.lines_total(jsonb) to authenticated, service_role;

-- Invoices --------------------------------------------------------------------------------------------
create table public.invoices (
    couple_id uuid not null references public.couples on delete restrict,
    organization_id uuid not null references public.organizations on delete restrict,
    id uuid not null default app.uuid_v7(),
    number text not null check (length(number) between 1 and 40),
    status text not null default 'draft' check (status in ('draft', 'sent', 'part_paid', 'paid', 'void')),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    lines jsonb not null check (length(lines::text) <= 100000),
    subtotal_minor bigint not null check (subtotal_minor >= 0),
    tax_minor bigint not null default 0 check (tax_minor >= 0),
    total_minor bigint not null check (total_minor >= 0),
    paid_minor bigint not null default 0,
    due_on date,
    sent_at timestamptz,
    notes text check (length(notes) <= 4000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, organization_id, id),
    unique (couple_id, organization_id, id, currency),
    unique (organization_id, number),
    constraint invoices_lines_add_up check (coalesce(subtotal_minor = app.lines_total(lines), false)),
    constraint invoices_total_adds_up check (total_minor = subtotal_minor + tax_minor),
    constraint invoices_paid check (paid_minor between 0 and total_minor),
    constraint invoices_unpaid check (paid_minor = 0 or status in ('part_paid', 'paid'))
);
comment on table public.invoices is 'What a couple owes one organization. Once sent its amounts stay; who pays moves its status.';
comment on column public.invoices.paid_minor is 'Sum of its payments less refunds; kept by the payments.';
create index invoices_by_due on public.invoices (organization_id, status, due_on);

alter table public.invoices enable row level security;
alter table public.invoices force row level security;
create policy tenant on public.invoices as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy read on public.invoices for select to authenticated
    using (status <> 'draft' or organization_id = any ((select app.my_organizations())::uuid[]));
create policy add on public.invoices for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        and couple_id = any ((select app.my_client_couples())::uuid[]) and status = 'draft');
create policy change on public.invoices for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.invoices for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]) and status = 'draft');
create policy service on public.invoices to service_role using (true) with check (true);
grant select, delete on public.invoices to authenticated;
grant insert (couple_id, organization_id, id, number, status, currency, lines, subtotal_minor, tax_minor, total_minor,
              due_on, notes) on public.invoices to authenticated;
grant update (number, status, currency, lines, subtotal_minor, tax_minor, total_minor, due_on, notes)
    on public.invoices to authenticated;
grant select, insert, update, delete on public.invoices to service_role;

create function app.guard_invoice() returns trigger
    language plpgsql
    set search_path = ''
as $$
declare
    owed text := case when new.paid_minor >= new.total_minor then 'paid'
                      when new.paid_minor > 0 then 'part_paid' else 'sent' end;
begin
    if old.status = 'draft' then
        if new.status not in ('draft', 'sent', 'void') then
            raise exception 'a draft is sent before it is paid' using errcode = '23514';
        end if;
        if new.status = 'sent' then
            new.sent_at := clock_timestamp();
        end if;
        return new;
    end if;
    if (new.number, new.currency, new.lines, new.subtotal_minor, new.tax_minor, new.total_minor)
        is distinct from (old.number, old.currency, old.lines, old.subtotal_minor, old.tax_minor, old.total_minor)
    then
        raise exception 'invoice % was sent: its number and amounts stay', old.number using errcode = '23514',
            hint = 'void it and write another';
    end if;
    if old.status = 'void' and new.status <> 'void' then
        raise exception 'invoice % is void', old.number using errcode = '23514';
    elsif new.status = 'void' and old.status <> 'void' and old.paid_minor > 0 then
        raise exception 'invoice % is paid in part: refund first', old.number using errcode = '23514';
    elsif new.status <> 'void' then
        if new.status <> old.status and new.status <> owed then
            raise exception 'invoice % is %: its payments say so', old.number, owed using errcode = '23514';
        end if;
        new.status := owed;
    end if;
    return new;
end
$$;
comment on function app.guard_invoice() is 'Trigger: draft, sent, then what its payments make of it; or void while nothing is paid.';
create trigger guard before update on public.invoices for each row execute function app.guard_invoice();
create trigger touch before update on public.invoices for each row execute function app.touch();

-- Payments --------------------------------------------------------------------------------------------
create table public.payments (
    couple_id uuid not null,
    organization_id uuid not null,
    invoice_id uuid not null,
    id uuid not null default app.uuid_v7(),
    currency text not null,
    amount_minor bigint not null check (amount_minor > 0),
    refunded_minor bigint not null default 0,
    method text not null check (method in ('cash', 'bank_transfer', 'cheque', 'provider')),
    status text not null default 'pending' check (status in ('pending', 'succeeded', 'failed', 'refunded')),
    provider text check (provider ~ '^[a-z][a-z0-9_]{0,62}$'),
    provider_payment_id text check (length(provider_payment_id) between 1 and 200),
    succeeded_at timestamptz,
    recorded_by uuid default auth.uid(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, organization_id, invoice_id, id),
    unique (organization_id, provider, provider_payment_id),
    -- With the currency: a payment cannot be in another one than its invoice.
    foreign key (couple_id, organization_id, invoice_id, currency)
        references public.invoices (couple_id, organization_id, id, currency) on delete restrict,
    constraint payments_refunded check (refunded_minor between 0 and amount_minor),
    constraint payments_refund_of_succeeded check (refunded_minor = 0 or status in ('succeeded', 'refunded')),
    constraint payments_fully_refunded check ((status = 'refunded') = (refunded_minor = amount_minor)),
    constraint payments_provider check (
        (method = 'provider') = (provider is not null) and (provider is null) = (provider_payment_id is null)),
    constraint payments_succeeded check ((status in ('succeeded', 'refunded')) = (succeeded_at is not null))
);
comment on table public.payments is 'Money towards an invoice; in the same currency, never more than is owed.';
create index payments_by_invoice on public.payments (couple_id, organization_id, invoice_id, currency);

alter table public.payments enable row level security;
alter table public.payments force row level security;
create policy tenant on public.payments as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy read on public.payments for select to authenticated
    using ((select auth.uid()) is not null);
-- By hand: cash and transfers. What a provider took is written by its signed message alone.
create policy add on public.payments for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        and method <> 'provider' and recorded_by = (select auth.uid()));
create policy change on public.payments for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]) and method <> 'provider');
create policy service on public.payments to service_role using (true) with check (true);
grant select on public.payments to authenticated;
grant insert (couple_id, organization_id, invoice_id, id, currency, amount_minor, method, status, recorded_by)
    on public.payments to authenticated;
grant update (status, refunded_minor) on public.payments to authenticated;
grant select, insert, update, delete on public.payments to service_role;

create function app.guard_payment() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' then
        if (new.couple_id, new.organization_id, new.invoice_id, new.currency, new.amount_minor, new.method,
            new.provider, new.provider_payment_id)
            is distinct from (old.couple_id, old.organization_id, old.invoice_id, old.currency, old.amount_minor,
                              old.method, old.provider, old.provider_payment_id)
        then
            raise exception 'a payment''s amount and origin stay' using errcode = '23514';
        end if;
        if new.refunded_minor < old.refunded_minor then
            raise exception 'a refund is not taken back' using errcode = '23514';
        end if;
        if new.refunded_minor = new.amount_minor and new.status = 'succeeded' then
            new.status := 'refunded';
        end if;
        if new.status <> old.status and (old.status, new.status) not in (
            ('pending', 'succeeded'), ('pending', 'failed'), ('failed', 'succeeded'), ('succeeded', 'refunded'))
        then
            raise exception 'a payment that is % does not become %', old.status, new.status using errcode = '23514';
        end if;
    end if;
    if new.status = 'succeeded' and new.succeeded_at is null then
        new.succeeded_at := clock_timestamp();
    end if;
    return new;
end
$$;
comment on function app.guard_payment() is 'Trigger: pending, then succeeded or failed (and tried again); succeeded, then refunded. Money does not go back by itself.';

create function app.settle_invoice() returns trigger
    language plpgsql security definer
    set search_path = ''
as $$
declare
    invoice public.invoices;
    paid bigint;
begin
    -- The row's lock: two payments at once are added up one after the other.
    select * into invoice from public.invoices
     where couple_id = new.couple_id and organization_id = new.organization_id and id = new.invoice_id
       for update;
    select coalesce(sum(amount_minor - refunded_minor), 0) into paid
      from public.payments
     where couple_id = new.couple_id and organization_id = new.organization_id and invoice_id = new.invoice_id
       and status in ('succeeded', 'refunded');
    if paid > invoice.total_minor then
        raise exception 'invoice % is over % %, payments would come to %', invoice.number, invoice.total_minor,
            invoice.currency, paid using errcode = '23514', constraint = 'payments_within_invoice';
    end if;
    if paid > 0 and invoice.status in ('draft', 'void') then
        raise exception 'invoice % is %: it cannot be paid', invoice.number, invoice.status using errcode = '23514';
    end if;
    if paid <> invoice.paid_minor then
        update public.invoices
           set paid_minor = paid,
               status = case when paid >= total_minor then 'paid' when paid > 0 then 'part_paid' else 'sent' end
         where couple_id = new.couple_id and organization_id = new.organization_id and id = new.invoice_id;
    end if;
    return null;
end
$$;
comment on function app.settle_invoice() is
    'Trigger: adds up an invoice''s payments. As owner: nobody sets paid_minor by hand.';

create trigger guard before insert or update on public.payments for each row execute function app.guard_payment();
create trigger settle after insert or update on public.payments for each row execute function app.settle_invoice();
create trigger touch before update on public.payments for each row execute function app.touch();

-- What providers tell us --------------------------------------------------------------------------------
create table public.webhook_events (
    organization_id uuid not null references public.organizations on delete cascade,
    provider text not null check (provider ~ '^[a-z][a-z0-9_]{0,62}$'),
    event_id text not null check (length(event_id) between 1 and 200),
    kind text not null check (length(kind) between 1 and 200),
    payload jsonb not null check (length(payload::text) <= 1000000),
    signature_checked_at timestamptz,
    received_at timestamptz not null default now(),
    deliveries integer not null default 1 check (deliveries > 0),
    processed_at timestamptz,
    outcome text check (length(outcome) <= 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, provider, event_id),
    constraint webhook_events_checked_first check (processed_at is null or signature_checked_at is not null)
);
comment on table public.webhook_events is 'A message of a provider, kept once however often it is delivered.';
comment on column public.webhook_events.signature_checked_at is 'When the gateway found its signature right; without it nothing is done.';

create trigger touch before update on public.webhook_events for each row execute function app.touch();

alter table public.webhook_events enable row level security;
alter table public.webhook_events force row level security;
create policy tenant on public.webhook_events as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.webhook_events for select to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
create policy service on public.webhook_events to service_role using (true) with check (true);
-- Not the payload: it holds what payers told the provider.
grant select (organization_id, provider, event_id, kind, signature_checked_at, received_at, deliveries, processed_at,
              outcome, created_at, updated_at) on public.webhook_events to authenticated;
grant select, insert, update, delete on public.webhook_events to service_role;

create function app.receive_webhook(
    p_organization_id uuid, p_provider text, p_event_id text, p_kind text, p_payload jsonb,
    p_signature_checked_at timestamptz) returns boolean
    language plpgsql volatile
    set search_path = ''
as $$
declare
    kept public.webhook_events;
begin
    insert into public.webhook_events as e
        (organization_id, provider, event_id, kind, payload, signature_checked_at)
    values (p_organization_id, p_provider, p_event_id, p_kind, p_payload, p_signature_checked_at)
    on conflict (organization_id, provider, event_id)
    do update set deliveries = e.deliveries + 1,
                  -- What came without a signature does not keep the true message out.
                  kind = case when e.signature_checked_at is null then excluded.kind else e.kind end,
                  payload = case when e.signature_checked_at is null then excluded.payload else e.payload end,
                  signature_checked_at = coalesce(e.signature_checked_at, excluded.signature_checked_at)
    returning * into kept;
    if kept.payload <> p_payload or kept.kind <> p_kind then
        raise exception 'event % of % came before with another content', p_event_id, p_provider
            using errcode = 'PT409', hint = 'a forged message, or a provider that uses an id twice: look at both';
    end if;
    return kept.deliveries = 1;
end
$$;
comment on function app.receive_webhook(uuid, text, text, text, jsonb, timestamptz) is
    'Keep a provider''s message; gives whether it is new. The signature is checked by the gateway before.';

create function app.process_webhook(p_organization_id uuid, p_provider text, p_event_id text) returns text
    language plpgsql volatile
    set search_path = ''
as $$
declare
    event public.webhook_events;
    paid record;
    done text;
begin
    select * into event from public.webhook_events
     where organization_id = p_organization_id and provider = p_provider and event_id = p_event_id
       for update;   -- of two workers one waits, and then finds it done
    if not found then
        raise exception 'event % of % is not here', p_event_id, p_provider using errcode = 'PT404';
    end if;
    if event.processed_at is not null then
        return 'duplicate';
    end if;
    if event.signature_checked_at is null then
        raise exception 'the signature of event % was not checked', p_event_id using errcode = '28000',
            hint = 'nothing of it is believed';
    end if;
    if event.kind not in ('payment.succeeded', 'payment.failed', 'payment.refunded') then
        done := 'ignored';
    else
        begin
            select * into paid from jsonb_to_record(event.payload) as r
                (couple_id uuid, invoice_id uuid, payment_id text, amount_minor bigint, currency text,
                 refunded_minor bigint);
            insert into public.payments as p
                (couple_id, organization_id, invoice_id, currency, amount_minor, method, provider, provider_payment_id)
            values (paid.couple_id, event.organization_id, paid.invoice_id, paid.currency, paid.amount_minor, 'provider',
                    event.provider, paid.payment_id)
            on conflict (organization_id, provider, provider_payment_id) do nothing;
            -- Messages may come in any order: a refund first says that the payment succeeded.
            update public.payments
               set status = case when event.kind = 'payment.failed' then 'failed' else 'succeeded' end
             where organization_id = event.organization_id and provider = event.provider
               and provider_payment_id = paid.payment_id
               and (status = 'pending' or (status = 'failed' and event.kind <> 'payment.failed'));
            if event.kind = 'payment.refunded' then
                update public.payments
                   set refunded_minor = greatest(refunded_minor, coalesce(paid.refunded_minor, amount_minor))
                 where organization_id = event.organization_id and provider = event.provider
                   and provider_payment_id = paid.payment_id and status = 'succeeded';
            end if;
            if not exists (
                select from public.payments p
                 where p.organization_id = event.organization_id and p.provider = event.provider
                   and p.provider_payment_id = paid.payment_id and p.couple_id = paid.couple_id
                   and p.invoice_id = paid.invoice_id and p.amount_minor = paid.amount_minor
                   and p.currency = paid.currency)
            then
                raise exception 'payment % is kept with another invoice or amount', paid.payment_id
                    using errcode = '23514';
            end if;
            done := 'processed';
        exception when integrity_constraint_violation or data_exception then
            -- Kept as not processed: it can be tried again once the invoice is there, or looked at.
            update public.webhook_events set outcome = left('failed: ' || sqlerrm, 500)
             where organization_id = p_organization_id and provider = p_provider and event_id = p_event_id;
            return 'failed';
        end;
    end if;
    update public.webhook_events set processed_at = clock_timestamp(), outcome = done
     where organization_id = p_organization_id and provider = p_provider and event_id = p_event_id;
    return done;
end
$$;
comment on function app.process_webhook(uuid, text, text) is
    'Do what a message says, once: processed, ignored, duplicate, or failed (and then to be tried again).';

grant execute on function
    app.receive_webhook(uuid, text, text, text, jsonb, timestamptz), app.process_webhook(uuid, text, text)
    to service_role;
