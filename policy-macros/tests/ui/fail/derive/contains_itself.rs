use policy_runtime::Attributes;

#[derive(Attributes)]
struct Folder {
    parent: Option<Box<Folder>>,
}

fn main() {}
