use policy_runtime::Attributes;

#[derive(Attributes)]
struct Page {
    size: u32,
}

#[derive(Attributes, serde::Serialize)]
struct Search {
    #[serde(flatten)]
    page: PageOf,
}

#[derive(serde::Serialize)]
struct PageOf {
    size: u32,
}

fn main() {}
