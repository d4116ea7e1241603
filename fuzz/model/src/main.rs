//! x
fn main() { 
    let r = tether_model::faults::refuse_each_growth(1, 1500, 1000000, tether_model::faults::native);
    println!("{:#?}", r);
}
