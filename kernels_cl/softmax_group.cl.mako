## Softmax by a work-group: largest and sum of each row through trees in local memory.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%namespace name="team" file="/_lib/team.cl.mako"/>\
<%
    shape = p.team
    index = shape.index
%>\
__kernel __attribute__((reqd_work_group_size(${shape.local}, 1, 1)))
void ${p.name}(__global const float *restrict x, __global float *restrict y)
{
    __local float totals[${shape.local}];
${team.places(shape, p.axes, p.kept)}\
% if p.in_registers:
    float values[${shape.each}];
% endif
    float largest = -INFINITY;
${pass_over("x")}\
        largest = SELECT(largest, value, value > largest || value != value);
    }
    totals[me] = largest;
<%team:tree team="${shape}">\
            const float value = totals[other];
            totals[me] = SELECT(totals[me], value, value > totals[me] || value != value);
</%team:tree>\
    largest = totals[${shape.first_lane}];
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0.0f;
${pass_over("exp")}\
        sum += value;
    }
    totals[me] = sum;
<%team:tree team="${shape}">\
            totals[me] += totals[other];
</%team:tree>\
    sum = totals[${shape.first_lane}];
% if shape.inside:
    if (${shape.inside})
% endif
${pass_over("y")}\
    }
}
<%def name="pass_over(what)">\
% if p.in_registers:
    for (int k = 0; k < ${p.team.each}; ++k) {
        const ${p.team.index} r = lane + k * ${p.team.lanes};
% if p.team.each * p.team.lanes > p.team.length:
        if (r >= ${p.team.length})
            break;
% endif
% else:
    for (${p.team.index} r = lane; r < ${p.team.length}; r += ${p.team.lanes}) {
% endif
% if what != "exp" or not p.in_registers:
${grid.split(p.reduced_axes, p.reduced, "r")}\
% endif
% if what == "x":
        const float value = x[${p.at}];
% if p.in_registers:
        values[k] = value;
% endif
% elif what == "exp":
        const float value = exp(${"values[k]" if p.in_registers else f"x[{p.at}]"} - largest);
% if p.in_registers:
        values[k] = value;
% endif
% else:
        y[${p.at}] = ${"values[k]" if p.in_registers else f"exp(x[{p.at}] - largest)"} / sum;
% endif
</%def>
