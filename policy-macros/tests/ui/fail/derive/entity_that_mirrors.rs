use policy_runtime::Entity;

mod vendor {
    pub struct Photo {
        pub id: String,
    }
}

#[derive(Entity)]
#[attributes(remote = "vendor::Photo")]
struct Photo {
    id: String,
}

fn main() {}
