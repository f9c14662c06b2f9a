"""State x verb and role x verb, by hand from the design's words and states. Nothing here is computed from the code.

An `x` says the verb is carried out; a dot says it is refused, with a sentence and not one row changed.
"""

from __future__ import annotations

STATE_BY_VERB = """
verb                    preparing polling no_go cleared deploying deployed rolling_back rolled_back closed cancelled
tick_early              x         x       x     x       .         .        .            .           .      .
block_early             x         x       x     x       .         .        .            .           .      .
not_applicable_early    x         x       x     x       .         .        .            .           .      .
waive_early             x         x       x     x       .         .        .            .           .      .
reopen_early            x         x       x     x       .         .        .            .           .      .
tick_production         .         .       .     .       x         .        .            .           .      .
start_watch             .         .       .     .       x         .        .            .           .      .
tick_post               .         .       .     .       .         x        .            .           .      .
add_evidence            x         x       x     x       x         x        x            .           .      .
note                    x         x       x     x       x         x        x            x           x      x
add_item                x         x       x     x       .         .        .            .           .      .
edit_item               x         x       x     x       x         x        x            .           .      .
give_items              x         x       x     x       x         x        x            .           .      .
assign                  x         x       x     x       x         x        x            .           .      .
transfer                x         x       x     x       x         x        x            .           .      .
take_over               x         x       x     x       x         x        x            .           .      .
open_poll               x         .       .     .       .         .        .            .           .      .
vote                    .         x       .     .       .         .        .            .           .      .
record_spoken           .         x       .     .       .         .        .            .           .      .
decide_no_go            .         x       .     .       .         .        .            .           .      .
decide_go_override      .         x       .     .       .         .        .            .           .      .
withdraw_poll           .         x       .     .       .         .        .            .           .      .
withdraw_go             .         .       .     x       .         .        .            .           .      .
add_action              .         .       x     .       .         .        .            .           .      .
hold                    x         x       .     x       .         .        .            .           .      .
reschedule              x         x       x     x       .         .        .            .           .      .
cancel                  x         x       x     x       .         .        .            .           .      .
start                   .         .       .     x       .         .        .            .           .      .
finish                  .         .       .     .       x         .        .            .           .      .
close                   .         .       .     .       .         x        .            .           .      .
trigger_rollback        .         .       .     .       x         x        .            .           x      .
assess                  .         .       .     .       .         .        x            .           .      .
"""

# Ada coordinates, Dana is Project Manager, Ben QA Lead, Eli on call, Fay Risk Champion, Gus developer; Max is the
# dated deputy of Ada, Sam is staff, Cy is signed in and on nothing. Each in a state in which the verb is legal.
ROLE_BY_VERB = """
verb                    ada dana ben eli fay gus max sam cy
view                    x   x    x   x   x   x   x   x   x
tick_coordinators       x   .    .   .   .   .   x   .   .
tick_of_risk            x   .    .   .   x   .   .   .   .
sign_off                .   .    x   .   .   .   .   .   .
acknowledge             x   .    .   x   .   .   .   .   .
block_early             x   .    .   .   x   .   .   .   .
waive_early             x   .    .   .   .   .   .   .   .
reopen_of_risk          x   .    .   .   x   .   .   .   .
note                    x   x    x   x   x   x   x   x   .
add_item                x   .    .   .   .   .   .   .   .
edit_item               x   .    .   .   .   .   .   .   .
give_items              x   .    .   .   .   .   .   .   .
assign                  x   .    .   .   .   .   .   x   .
transfer                x   .    .   .   .   .   .   .   .
take_over               .   x    .   .   .   .   x   x   .
open_poll               x   .    .   .   .   .   .   .   .
vote_qa                 .   .    x   .   .   .   .   .   .
record_spoken           x   .    .   .   .   .   .   .   .
decide_no_go            x   .    .   .   .   .   .   .   .
withdraw_poll           x   .    .   .   .   .   .   .   .
withdraw_go             x   .    .   .   .   .   .   .   .
hold                    x   .    .   .   .   .   .   .   .
reschedule              x   .    .   .   .   .   .   .   .
cancel                  x   .    .   .   .   .   .   .   .
start                   x   .    .   .   .   .   .   .   .
finish                  x   .    .   .   .   .   .   .   .
close                   x   .    .   .   .   .   .   .   .
trigger_rollback        x   x    .   x   .   .   .   .   .
assess                  x   x    .   x   .   .   .   .   .
edit_release            x   .    .   .   .   .   .   .   .
"""


def read(table: str) -> list[tuple[str, str, bool]]:
    """The cells of a table as (verb, column, carried out)."""
    head, *rows = [line.split() for line in table.strip().splitlines()]
    assert all(len(row) == len(head) for row in rows), "a row of the table has a cell too many or too few"
    return [(row[0], column, cell == "x") for row in rows for column, cell in zip(head[1:], row[1:], strict=True)]
