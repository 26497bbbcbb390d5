## Softmax: maximum, exponentials and their sum, division; the exponentials wait in the output where they can.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, "__global const float *restrict x, __global float *restrict y")}\
{
${grid.loop(p.grid)}\
${grid.split(p.split_names, p.counts)}\
% if p.kept:
${grid.lanes(p.axes[-1], p.kept[-1], p.width)}\
% endif
        ${p.type} largest = (${p.type})(-INFINITY);
        ${loops()}{
            const ${p.type} value = ${p.value};
            largest = ${p.select}(largest, value, value > largest || value != value);
        }
        ${p.type} sum = (${p.type})(0.0f);
        ${loops()}{
            const ${p.type} value = ${p.exponential};
            sum += value;
% if not p.overlaps:
            ${p.write("value")}
% endif
        }
        ${loops()}{
            ${p.write(f"{p.result} / sum")}
        }
    }
}
<%def name="loops()">\
% for axis, extent in enumerate(p.reduced):
for (${p.index(axis)} r${axis} = 0; r${axis} < ${extent}; ++r${axis}) \
% endfor
</%def>
