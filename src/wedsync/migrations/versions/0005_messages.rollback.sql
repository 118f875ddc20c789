drop table public.messages;
drop table public.message_threads;
