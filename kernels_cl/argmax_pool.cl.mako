## Where in each window the maximum lies, and the maximum; the first one counts, a NaN is larger than all numbers.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.counts)}\
        float largest = -INFINITY;
        long place = -1;
% for axis in p.windowed:
        for (int k${axis} = 0; k${axis} < ${p.geometry.size[axis]}; ++k${axis}) {
% for line in p.tap(axis):
            ${line}
% endfor
% endfor
% if p.condition:
            if (!(${p.condition})) continue;
% endif
            const float value = ${p.element};
            if (place < 0 || value > largest || (isnan(value) && !isnan(largest))) {
                largest = value;
                place = ${p.position};
            }
% if p.windowed:
        ${"}" * len(p.windowed)}
% endif
% for line in p.stores:
        ${line}
% endfor
    }
}
