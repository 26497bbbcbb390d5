## A matrix product on work-group tiles: while a step is multiplied, the next one is on its way to registers.
<%def name="product(p)">\
__kernel __attribute__((reqd_work_group_size(${p.tile.items}, 1, 1)))
void ${p.name}(${p.arguments})
{
    __local float a_tiles[${2 * p.a.size}] __attribute__((aligned(16)));
    __local float b_tiles[${2 * p.b.size}] __attribute__((aligned(16)));
    const int lane = get_local_id(0), item = get_group_id(0);
% for line in p.indices:
    ${line}
% endfor
% for name in p.sums:
    ${p.type} ${name} = (${p.type})(0.0f);
% endfor
    ${vector(p.a.width)} a_next[${p.a.count}];
    ${vector(p.b.width)} b_next[${p.b.count}];
    for (int step = first; step <= last; ++step) {
        if (step < last) {
% for line in p.before:
            ${line}
% endfor
${load(p, "a", p.a)}\
${load(p, "b", p.b)}\
        }
        if (step > first) {
            __local const float *a_tile = a_tiles + (step - 1) % 2 * ${p.a.size} + ${p.tile.rows.place("my_row", 0)};
            __local const float *b_tile = b_tiles + (step - 1) % 2 * ${p.b.size} + ${p.tile.columns.place("my_column", 0)};
            for (int k = 0; k < ${p.tile.depth}; ++k) {
% for line in p.multiply:
                ${line}
% endfor
            }
        }
        if (step < last) {
            __local float *a_tile = a_tiles + step % 2 * ${p.a.size}, *b_tile = b_tiles + step % 2 * ${p.b.size};
${store(p, "a", p.a)}\
${store(p, "b", p.b)}\
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
% for line in p.finish:
    ${line}
% endfor
}
</%def>
<%def name="load(p, name, staging)">\
            for (int i = 0; i < ${staging.count}; ++i) {
% if staging.guard:
                if (${staging.guard}) {
% endif
% for line in staging.place:
                ${line}
% endfor
% for line in p.fetch(name):
                ${line}
% endfor
                ${name}_next[i] = value;
% if staging.guard:
                }
% endif
            }
</%def>
<%def name="store(p, name, staging)">\
            for (int i = 0; i < ${staging.count}; ++i) {
% if staging.guard:
                if (${staging.guard}) {
% endif
% for line in staging.place:
                ${line}
% endfor
                ${p.stage(staging, name)}
% if staging.guard:
                }
% endif
            }
</%def>
<%def name="vector(width)">${"float" if width == 1 else f"float{width}"}</%def>
