## Multilinear up-sampling by rows: neighbouring rows of x are mixed into one, which is then interpolated along itself.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    B, V, last = p.x.block, p.lanes, p.last
%>\
${grid.function(p, p.arguments)}\
{
    float row[${p.room}];
    float weights[${len(p.corners)}];
    ${p.index} starts[${len(p.corners)}];
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        const int begin = ${p.begin};
% for axis in range(last):
% for line in p.coordinate(axis):
        ${line}
% endfor
% endfor
        int rows = 0;
% for corner in p.corners:
        ${p.choice(corner)}
% endfor
        const int left = max(begin - 1, 0), right = min(begin + ${p.segment + 2}, ${p.extent});
        const int end = (right - left) * ${B};
        __global const float *from = x + ${"(long)" if p.index == "long" else ""}left * ${B};
        float *to = row + (left - begin + 1) * ${B};
        if (end >= ${V}) {
            for (int next = 0; next < end; next += ${V}) {
                const int at = min(next, end - ${V});
                ${p.type} sum = (${p.type})(0.0f);
                for (int k = 0; k < rows; ++k)
                    sum += weights[k] * vload${V}(0, from + starts[k] + at);
                vstore${V}(sum, 0, to + at);
            }
        } else {
            for (int at = 0; at < end; ++at) {
                float sum = 0.0f;
                for (int k = 0; k < rows; ++k)
                    sum += weights[k] * from[starts[k] + at];
                to[at] = sum;
            }
        }
% for place, condition, source in p.edges:
        if (${condition})
            for (int lane = 0; lane < ${B}; ++lane)
                row[(${place} - begin + 1) * ${B} + lane] = ${source};
% endfor
        for (int next = 0; next < ${p.steps}; next += ${p.step}) {
% for line in p.position:
            ${line}
% endfor
% for part in range(p.parts):
            {
% for line in p.interpolate(part):
                ${line}
% endfor
            }
% endfor
        }
    }
}
