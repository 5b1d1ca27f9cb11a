//! What a forwarded connection keeps while nothing moves.

use netloom_app::kind;
use netloom_base::{Role, Settings};
use netloom_protocol::protocol_for;
use netloom_transport::sim::Sim;

#[test]
fn a_pair_at_rest_keeps_little() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let (cx, client) = (sim.host("relay"), sim.host("client"));
        let settings = Settings::new().with("to", "tcp://server:1");
        let offer = kind("forward").unwrap().build(&settings, cx.net()).unwrap();
        let stack = cx
            .net()
            .stack(&"tcp://relay:1".parse().unwrap(), Role::Bind)
            .unwrap();
        let bound = cx.net().bind(&stack, &cx).await.unwrap().remove(0);
        let mut listener = bound.listener().unwrap().unwrap();
        let to = client
            .net()
            .stack(&"tcp://relay:1".parse().unwrap(), Role::Dial)
            .unwrap();
        let _client = client.net().dial(&to, &client).await.unwrap();
        let conn = listener.accept().await.unwrap().attach().unwrap();
        let service = protocol_for(&stack)
            .unwrap()
            .service_for(&offer, &Settings::new())
            .unwrap();
        let serving = service.serve(conn, &cx);
        assert!(size_of_val(&*serving) <= 1024, "{}", size_of_val(&*serving));
    })
    .unwrap();
}
