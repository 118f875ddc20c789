"""What the pages of a supplier and of a couple ask. The same text with row-level security and without.

`%(couple)s` is the wedding that the page shows, `%(organization)s` the business; `%(couples)s` all weddings of the
caller, for the two queries that row-level security alone narrows down.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a page."""

    name: str
    caller: str
    """`photographer` with one of seven weddings, `planner` with 20, or `partner` of one."""
    text: str
    """With the tenant condition that an application would write itself."""
    bare_condition: str = ""
    """What is put in place of `--tenant` where there is no row-level security to do it."""


QUERIES = (
    Query(
        name="supplier dashboard",
        caller="photographer",
        text="""
select c.id, c.partner_one_name, c.partner_two_name, c.wedding_date, c.venue_name,
       (select count(*) from guests g where g.couple_id = c.id) as guests,
       (select count(*) from guests g where g.couple_id = c.id and g.rsvp_status = 'accepted') as accepted,
       (select count(*) from form_submissions s
         where s.couple_id = c.id and s.organization_id = n.organization_id and s.status = 'submitted') as to_read,
       (select min(t.due_on) from tasks t where t.couple_id = c.id and t.status = 'open') as next_task_on
  from connections n join couples c on c.id = n.couple_id
 where n.organization_id = %(organization)s and n.status = 'active' and c.wedding_date >= current_date
 order by c.wedding_date, c.id
 limit 20""",
    ),
    Query(
        name="all guests of a supplier, by answer",
        caller="photographer",
        text="select rsvp_status, count(*) from guests --tenant\n group by rsvp_status order by 1",
        bare_condition="where couple_id = any(%(couples)s)",
    ),
    Query(
        name="all guests of a planner, by answer",
        caller="planner",
        text="select rsvp_status, count(*) from guests --tenant\n group by rsvp_status order by 1",
        bare_condition="where couple_id = any(%(couples)s)",
    ),
    Query(
        name="guest list, for a supplier",
        caller="photographer",
        text="""
select g.id, g.first_name, g.last_name, g.side, g.is_child, g.rsvp_status, g.dietary_notes, h.name as household
  from guests g left join households h on h.couple_id = g.couple_id and h.id = g.household_id
 where g.couple_id = %(couple)s
 order by g.last_name, g.first_name, g.id""",
    ),
    Query(
        name="guest list, a page of 50",
        caller="partner",
        text="""
select g.id, g.first_name, g.last_name, g.rsvp_status, h.name as household
  from guests g left join households h on h.couple_id = g.couple_id and h.id = g.household_id
 where g.couple_id = %(couple)s
 order by g.last_name, g.first_name
 limit 50""",
    ),
    Query(
        name="couple forms",
        caller="partner",
        text="""
select f.id, f.title, count(i.id) as questions, max(s.submitted_at) as sent_at
  from connections n
  join forms f on f.organization_id = n.organization_id and f.status = 'published'
  left join form_fields i on i.organization_id = f.organization_id and i.form_id = f.id
  left join form_submissions s
    on s.couple_id = n.couple_id and s.organization_id = f.organization_id and s.form_id = f.id
 where n.couple_id = %(couple)s
 group by f.organization_id, f.id, f.title
 order by f.title, f.id""",
    ),
    Query(
        name="form submissions, newest 50",
        caller="photographer",
        text="""
select s.id, s.couple_id, s.form_id, s.status, s.submitted_at, f.title
  from form_submissions s join forms f on f.organization_id = s.organization_id and f.id = s.form_id
 where s.organization_id = %(organization)s and s.status = 'submitted'
 order by s.submitted_at desc, s.id
 limit 50""",
    ),
    Query(
        name="core fields",
        caller="photographer",
        text="""
select v.field_key, d.label, d.kind, v.value, v.version, v.updated_at
  from core_field_values v join core_field_definitions d on d.key = v.field_key
 where v.couple_id = %(couple)s
 order by v.field_key""",
    ),
)
