## What all windows that cover an element put there, added up in the order of the taps.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.counts)}\
        float sum = 0.0f;
% for axis in p.windowed:
        ${p.loop(axis)} {
% for line in p.tap(axis):
            ${line}
% endfor
% endfor
% if p.condition:
            if (${p.condition})
                sum += ${p.x.load(p.index)};
% else:
            sum += ${p.x.load(p.index)};
% endif
% if p.windowed:
        ${"}" * len(p.windowed)}
% endif
% for line in p.finish:
        ${line}
% endfor
    }
}
