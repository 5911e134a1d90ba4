//! Makes what disagrees small: any part gives way to one of its own parts, or to a constant, as long as it still disagrees.

use crate::ir::Ir;
use crate::value::Value;

/// Shrinks a condition for which `fails` holds.
pub(super) fn shrink(mut ir: Ir, fails: &dyn Fn(&Ir) -> bool) -> Ir {
    // Each round makes it smaller; the bound is only against surprise.
    for _ in 0..500 {
        let Some(smaller) = candidates(&ir).into_iter().find(|c| fails(c)) else { return ir };
        ir = smaller;
    }
    ir
}

/// All expressions with one part replaced by a smaller one.
fn candidates(ir: &Ir) -> Vec<Ir> {
    let mut out: Vec<Ir> = children(ir).into_iter().cloned().collect();
    if !matches!(ir, Ir::Const(_) | Ir::Path(_) | Ir::Var(_) | Ir::Entity(_) | Ir::Duration(_)) {
        out.extend([true, false].map(|b| Ir::Const(Value::Bool(b))));
    }
    if let Ir::And(items) | Ir::Or(items) = ir {
        for skip in 0..items.len() {
            let rest = items.iter().enumerate().filter(|(n, _)| *n != skip).map(|(_, i)| i.clone()).collect();
            out.push(if matches!(ir, Ir::And(_)) { Ir::And(rest) } else { Ir::Or(rest) });
        }
    }
    for (place, child) in children(ir).into_iter().enumerate() {
        out.extend(candidates(child).into_iter().map(|smaller| with(ir, place, smaller)));
    }
    out
}

fn children(ir: &Ir) -> Vec<&Ir> {
    match ir {
        Ir::Not(a) | Ir::Unary(_, a) | Ir::Like(a, _) | Ir::Is(a, _) => vec![a],
        Ir::And(items) | Ir::Or(items) | Ir::Set(items) => items.iter().collect(),
        Ir::If(parts) => parts.iter().collect(),
        Ir::Binary(_, parts) => parts.iter().collect(),
        Ir::Record(fields) => fields.values().collect(),
        Ir::Const(_) | Ir::Duration(_) | Ir::Entity(_) | Ir::Var(_) | Ir::Path(_) | Ir::Has(_) => vec![],
    }
}

fn with(ir: &Ir, place: usize, new: Ir) -> Ir {
    let mut ir = ir.clone();
    let slot = match &mut ir {
        Ir::Not(a) | Ir::Unary(_, a) | Ir::Like(a, _) | Ir::Is(a, _) => Some(&mut **a),
        Ir::And(items) | Ir::Or(items) | Ir::Set(items) => items.get_mut(place),
        Ir::If(parts) => parts.get_mut(place),
        Ir::Binary(_, parts) => parts.get_mut(place),
        Ir::Record(fields) => fields.values_mut().nth(place),
        Ir::Const(_) | Ir::Duration(_) | Ir::Entity(_) | Ir::Var(_) | Ir::Path(_) | Ir::Has(_) => None,
    };
    if let Some(slot) = slot {
        *slot = new;
    }
    ir
}
