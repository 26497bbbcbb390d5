## Work-items of a group that share results: their places, and the tree through local memory.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%def name="places(team, names, extents)">\
    const int me = get_local_id(0);
% if team.across:
    const int row = me % ${team.rows}, lane = me / ${team.rows};
% elif team.rows > 1:
    const int row = me / ${team.lanes}, lane = me % ${team.lanes};
% else:
    const int lane = me;
% endif
% if team.parts > 1:
    const int part = get_group_id(0) % ${team.parts};
% endif
    const ${team.item} number = ${team.number};
% if team.rows > 1:
    // Beyond the last result, work-items repeat it without storing: all must reach the barriers.
    const ${team.item} item = min(number, ${team.last});
% else:
    const ${team.item} item = number;
% endif
${grid.split(names, extents, indent=4)}\
</%def>
<%def name="tree(team)">\
    for (int step = ${team.lanes // 2}; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < step) {
            const int other = ${team.other};
${caller.body()}\
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
</%def>
