## Ceiling of arithmetic: independent chains of multiply-adds that never leave the registers.
__kernel __attribute__((reqd_work_group_size(${p.local}, 1, 1)))
void ${p.name}(__global float *restrict y)
{
    const int item = get_global_id(0);
    const ${p.type} factor = (${p.type})(${p.factor}), term = (${p.type})(${p.term});
% for chain in range(p.chains):
    ${p.type} a${chain} = (${p.type})((float)(item + ${chain}));
% endfor
    for (int round = 0; round < ${p.rounds}; ++round) {
% for chain in range(p.chains):
        a${chain} = fma(a${chain}, factor, term);
% endfor
    }
    const ${p.type} total = ${" + ".join(f"a{chain}" for chain in range(p.chains))};
    y[item] = ${p.sum};
}
