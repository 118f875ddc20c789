-- Conversations between a couple and one organization. Another supplier of the same wedding does not read them.

create table public.message_threads (
    couple_id uuid not null references public.couples on delete cascade,
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    subject text not null check (length(subject) between 1 and 300),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, organization_id, id)
);
comment on table public.message_threads is 'A conversation of a couple with one organization.';
create index message_threads_by_organization on public.message_threads (organization_id, couple_id);

create table public.messages (
    couple_id uuid not null,
    organization_id uuid not null,
    thread_id uuid not null,
    id uuid not null default app.uuid_v7(),
    sender_kind text not null check (sender_kind in ('couple', 'supplier', 'system')),
    sender_id uuid,
    sender_name text not null check (length(sender_name) between 1 and 200),
    body text not null check (length(body) between 1 and 10000),
    sent_at timestamptz not null default now(),
    read_at timestamptz check (read_at >= sent_at),
    -- Keys sort by time: the key is also the index that reads a conversation in order.
    primary key (couple_id, organization_id, thread_id, id),
    foreign key (couple_id, organization_id, thread_id)
        references public.message_threads (couple_id, organization_id, id) on delete cascade
);
comment on table public.messages is 'One message of a conversation.';

create trigger touch before update on public.message_threads for each row execute function app.touch();
