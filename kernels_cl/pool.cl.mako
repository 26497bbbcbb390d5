## Sliding-window sum or maximum over any axes, any border; a vector of channels at a time in blocked layouts.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.counts)}\
        ${p.type} sum = ${p.start};
% if p.counted:
        int taps = 0;
% endif
% for axis in p.windowed:
        for (int k${axis} = 0; k${axis} < ${p.geometry.size[axis]}; ++k${axis}) {
% for line in p.tap(axis):
            ${line}
% endfor
% endfor
% if p.inside:
            if (${p.inside}) {
                ${p.combine(p.x.load(p.index))}
% if p.counted:
                ++taps;
% endif
            }
% if p.outside:
            else ${p.outside}
% endif
% else:
            ${p.combine(p.x.load(p.index))}
% endif
% if p.windowed:
        ${"}" * len(p.windowed)}
% endif
% for line in p.finish:
        ${line}
% endfor
    }
}
