use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

/// Reads as one does who takes no more than is asked for, `cut` bytes at a time
/// at most; how many bytes it took, too.
fn read_exactly(stream: &[u8], cut: usize) -> (Result<Option<Header>, Wrong>, usize) {
    let mut taken = 0;
    loop {
        match read(&stream[..taken]) {
            Ok(Read::Whole(header, length)) => {
                assert_eq!(length, taken, "nothing behind it was taken");
                return (Ok(Some(header)), taken);
            }
            Ok(Read::More(more)) => {
                assert!(more > 0);
                let next = more.min(cut).min(stream.len() - taken);
                if next == 0 {
                    return (Ok(None), taken);
                }
                taken += next;
            }
            Err(wrong) => return (Err(wrong), taken),
        }
    }
}

fn whole(stream: &[u8]) -> Result<Header, Wrong> {
    let (read, _) = read_exactly(stream, usize::MAX);
    read.map(|header| header.expect("it is whole"))
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [v2::SIGNATURE, &[command, family], &length, rest].concat()
}

const TCP4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];

#[test]
fn the_lines_of_the_specification_are_read() {
    let header = whole(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET /").unwrap();
    let (client, server) = ("192.168.0.1:56324", "192.168.0.11:443");
    let both = (client.parse().unwrap(), server.parse().unwrap());
    assert_eq!(header, Header::of(Version::V1, both.0, both.1));

    let longest = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
    assert_eq!((whole(longest).is_ok(), longest.len()), (true, 56));
    let six = b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!((whole(six).is_ok(), six.len()), (true, 104));
    assert!(whole(b"PROXY TCP6 :: ::1 0 1\r\n").is_ok());

    let unknown = Header::local(Version::V1);
    assert_eq!(whole(b"PROXY UNKNOWN\r\n"), Ok(unknown.clone()));
    let worst = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!((whole(worst), worst.len()), (Ok(unknown), LONGEST_LINE));
}

#[test]
fn a_line_that_is_written_otherwise_is_none() {
    for (line, wrong) in [
        (&b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"[..], Wrong::Control),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n", Wrong::Control),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Wrong::Line),
        (b"PROXY TCP4 1.2.3.4\r\n5.6.7.8 1 2\r\n", Wrong::Line),
        (b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", Wrong::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", Wrong::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", Wrong::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", Wrong::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", Wrong::Line),
        (b"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n", Wrong::Line),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", Wrong::Line),
        (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", Wrong::Line),
        (b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n", Wrong::Line),
        (b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", Wrong::Line),
        (b"PROXY UNKNOWN\0\r\n", Wrong::Control),
        (b"PROXY UNKNOWN\n\r\n", Wrong::Control),
        (b"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", Wrong::Other),
        (b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Wrong::Other),
        (b"GET / HTTP/1.1\r\n\r\n", Wrong::Other),
    ] {
        for cut in [1, 7, usize::MAX] {
            let shown = line.escape_ascii();
            assert_eq!(read_exactly(line, cut).0, Err(wrong), "{shown} by {cut}");
        }
    }
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    let (read, taken) = read_exactly(&endless, 1);
    assert!(taken <= LONGEST_LINE);
    assert_eq!(read, Err(Wrong::LongLine));
}

#[test]
fn binary_headers_are_read() {
    let header = whole(&[v2(0x21, 0x11, &TCP4), b"hello".to_vec()].concat()).unwrap();
    assert_eq!(header.client(), "192.0.2.7:56324".parse().ok());
    let local = Header::local(Version::V2);
    // A family, addresses and fields of a LOCAL one count for nothing.
    assert_eq!(whole(&v2(0x20, 0, &[])), Ok(local.clone()));
    assert_eq!(whole(&v2(0x20, 0x11, &TCP4)), Ok(local));
    let unspecified = whole(&v2(0x21, 0, &[1, 2, 3])).unwrap();
    assert_eq!(
        (unspecified.client(), unspecified.ends),
        (None, Ends::Unspecified)
    );

    let mut unix = [0; 216];
    unix[..4].copy_from_slice(b"/a/b");
    unix[108..110].copy_from_slice(b"\0x");
    let Ok(Header {
        ends: Ends::Unix { client, server, .. },
        ..
    }) = whole(&v2(0x21, 0x31, &unix))
    else {
        panic!("it has unix addresses")
    };
    assert_eq!((&client[..], &server[..]), (&b"/a/b"[..], &b"\0x"[..]));
}

#[test]
fn what_is_binary_and_wrong_is_told() {
    let with = |extra: &[u8]| v2(0x21, 0x11, &[&TCP4[..], extra].concat());
    for (bytes, wrong) in [
        (v2(0x11, 0x11, &TCP4), Wrong::Version),
        (v2(0x22, 0x11, &TCP4), Wrong::Command),
        (v2(0x21, 0x41, &TCP4), Wrong::Family),
        (v2(0x21, 0x13, &TCP4), Wrong::Family),
        (v2(0x21, 0x11, &TCP4[..11]), Wrong::Short),
        (v2(0x21, 0x21, &TCP4), Wrong::Short),
        (with(&[1]), Wrong::Extra(1)),
        (with(&[1, 0]), Wrong::Extra(1)),
        (with(&[1, 0, 3, b'h', b'2']), Wrong::Extra(1)),
        (with(&[1, 0, 0]), Wrong::Extra(1)),
        (with(&[2, 0, 2, 0xff, 0xfe]), Wrong::Extra(2)),
        (with(&[2, 0, 3, b'a', b'\n', b'b']), Wrong::Extra(2)),
        (with(&[2, 0, 1, b'a', 2, 0, 1, b'b']), Wrong::Twice(2)),
        (with(&[3, 0, 3, 0, 0, 0]), Wrong::Extra(3)),
        (with(&[3, 0, 4, 0, 0, 0, 0]), Wrong::Checksum),
        (
            with(&[&[5, 0, 129][..], &[7; 129]].concat()),
            Wrong::Extra(5),
        ),
        (with(&[0x20, 0, 4, 0, 0, 0, 0]), Wrong::Extra(0x20)),
        (
            with(&[0x20, 0, 8, 1, 0, 0, 0, 0, 0x21, 0, 9]),
            Wrong::Extra(0x21),
        ),
    ] {
        for cut in [1, usize::MAX] {
            assert_eq!(read_exactly(&bytes, cut).0, Err(wrong), "{bytes:02x?}");
        }
    }
    // Of 65,535 bytes not one is read.
    let longest = [v2::SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 9]].concat();
    let (read, taken) = read_exactly(&longest, usize::MAX);
    assert!(
        matches!(read, Err(Wrong::Long(_))) && taken <= 16,
        "{read:?}"
    );
}

#[test]
fn what_is_said_of_tls_is_read() {
    let tls = Tls {
        client: 3,
        verify: 0,
        version: Some("TLSv1.3".to_owned()),
        common_name: Some("bob".to_owned()),
        cipher: Some("TLS_AES_256_GCM_SHA384".to_owned()),
        others: vec![(0x25, b"RSA2048".to_vec())],
    };
    assert!(tls.is_verified());
    let mut header = Header::of(
        Version::V2,
        "192.0.2.7:1".parse().unwrap(),
        "[2001:db8::1]:2".parse().unwrap(),
    );
    header.tlvs = vec![
        Tlv::Alpn(b"h2".to_vec()),
        Tlv::Authority("a.example".to_owned()),
        Tlv::Checksum(0),
        Tlv::Ssl(tls.clone()),
        Tlv::Namespace("blue".to_owned()),
    ];
    let mut bytes = header.bytes().unwrap();
    let read = whole(&bytes).unwrap();
    assert_eq!(
        (read.alpn(), read.authority()),
        (Some(&b"h2"[..]), Some("a.example"))
    );
    assert_eq!(read.tls(), Some(&tls));
    // One address is IPv6, so both are written so.
    assert_eq!(
        read.client().map(|c| c.ip().to_canonical()),
        "192.0.2.7".parse().ok()
    );
    for at in 16..bytes.len() {
        bytes[at] ^= 1;
        assert!(
            whole(&bytes).is_err(),
            "byte {at} is not under the checksum"
        );
        bytes[at] ^= 1;
    }
}

#[test]
fn version_1_has_no_words_for_the_rest() {
    let unix = Header {
        version: Version::V1,
        command: Command::Proxy,
        ends: Ends::Unix {
            carrier: Carrier::Stream,
            client: vec![],
            server: vec![],
        },
        tlvs: vec![],
    };
    assert_eq!(unix.bytes().unwrap(), b"PROXY UNKNOWN\r\n");
}

#[test]
fn what_is_too_long_is_not_written() {
    let mut header = Header::of(
        Version::V2,
        "1.2.3.4:5".parse().unwrap(),
        "6.7.8.9:10".parse().unwrap(),
    );
    header.tlvs = vec![Tlv::Other(0xe0, vec![0; MOST])];
    assert_eq!(header.bytes(), None);
    header.tlvs = vec![Tlv::Other(0xe0, vec![0; 70_000])];
    assert_eq!(header.bytes(), None);
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    any::<SocketAddr>().prop_map(|addr| SocketAddr::new(addr.ip(), addr.port()))
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._ -]{1,40}"
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..most)
}

fn tls() -> impl Strategy<Value = Tls> {
    let named = || proptest::option::of(word());
    let parts = (0u8..8, any::<u32>(), named(), named(), named());
    let others = proptest::collection::vec((0x24u8..0x2a, bytes(20)), 0..3);
    (parts, others).prop_map(
        |((client, verify, version, common_name, cipher), others)| Tls {
            client,
            verify,
            version,
            common_name,
            cipher,
            others,
        },
    )
}

/// Every field that can stand once, perhaps, and some that can stand often.
fn tlvs() -> impl Strategy<Value = Vec<Tlv>> {
    let known = (
        proptest::option::of(bytes(255).prop_map(Tlv::Alpn)),
        proptest::option::of(word().prop_map(Tlv::Authority)),
        proptest::option::of(Just(Tlv::Checksum(0))),
        proptest::option::of(bytes(128).prop_map(Tlv::UniqueId)),
        proptest::option::of(tls().prop_map(Tlv::Ssl)),
        proptest::option::of(word().prop_map(Tlv::Namespace)),
    );
    let others = proptest::collection::vec(
        prop_oneof![
            (0usize..40).prop_map(Tlv::Noop),
            (0xe0u8..=0xff, bytes(60)).prop_map(|(kind, value)| Tlv::Other(kind, value)),
        ],
        0..4,
    );
    (known, others).prop_map(|((a, b, c, d, e, f), others)| {
        [a, b, c, d, e, f]
            .into_iter()
            .flatten()
            .chain(others)
            .collect()
    })
}

/// As it is read: in one family, and the checksum as it is.
fn as_read(mut header: Header, read: &Header) -> Header {
    if let Ends::Ip { client, server, .. } = &mut header.ends {
        match Pair::of(*client, *server) {
            Pair::V4(..) => {}
            Pair::V6(a, b) => (*client, *server) = (a.into(), b.into()),
        }
    }
    for (own, theirs) in header.tlvs.iter_mut().zip(&read.tlvs) {
        if let (Tlv::Checksum(own), Tlv::Checksum(theirs)) = (own, theirs) {
            *own = *theirs;
        }
    }
    header
}

proptest! {
    #[test]
    fn version_2_is_read_as_it_was_written(
        client in addr(), server in addr(), datagram in any::<bool>(), tlvs in tlvs(),
        behind in bytes(40), cut in 1usize..40,
    ) {
        let carrier = if datagram { Carrier::Datagram } else { Carrier::Stream };
        let header = Header {
            version: Version::V2,
            command: Command::Proxy,
            ends: Ends::Ip { carrier, client, server },
            tlvs,
        };
        let written = header.bytes().unwrap();
        let stream = [&written[..], &behind].concat();
        let (read, taken) = read_exactly(&stream, cut);
        let read = read.unwrap().unwrap();
        prop_assert_eq!(taken, written.len());
        prop_assert_eq!(as_read(header, &read), read);
    }

    #[test]
    fn version_1_is_read_as_it_was_written(
        client in addr(), server in addr(), behind in bytes(40), cut in 1usize..40,
    ) {
        let header = Header::of(Version::V1, client, server);
        let written = header.bytes().unwrap();
        prop_assert!(written.len() <= LONGEST_LINE);
        let (read, taken) = read_exactly(&[&written[..], &behind].concat(), cut);
        let read = read.unwrap().unwrap();
        prop_assert_eq!(taken, written.len());
        prop_assert_eq!(as_read(header, &read), read);
    }

    #[test]
    fn any_bytes_are_a_header_or_not_however_they_are_cut(
        start in 0usize..3, rest in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50,
    ) {
        let begin: &[u8] = [&b""[..], b"PROXY TCP4 ", v2::SIGNATURE][start];
        let stream = [begin, &rest].concat();
        let (whole, cut) = (read_exactly(&stream, usize::MAX), read_exactly(&stream, cut));
        prop_assert_eq!(whole.0.is_ok(), cut.0.is_ok());
        if whole.0.is_ok() {
            prop_assert_eq!(whole, cut);
        }
    }

    /// Somebody else's code reads what is written here.
    #[test]
    fn another_implementation_agrees(client in addr(), server in addr(), tlvs in tlvs()) {
        let line = Header::of(Version::V1, client, server).bytes().unwrap();
        let theirs = ppp::v1::Header::try_from(&line[..]).unwrap();
        let Pair::V4(a, b) = Pair::of(client, server) else {
            prop_assert!(matches!(theirs.addresses, ppp::v1::Addresses::Tcp6(_)));
            return Ok(());
        };
        let own = ppp::v1::Addresses::new_tcp4(*a.ip(), *b.ip(), a.port(), b.port());
        prop_assert_eq!(theirs.addresses, own);

        let header = Header { tlvs, ..Header::of(Version::V2, client, server) };
        let written = header.bytes().unwrap();
        let theirs = ppp::v2::Header::try_from(&written[..]).unwrap();
        prop_assert_eq!(theirs.len(), written.len());
        let read: Result<Vec<_>, _> = theirs.tlvs().collect();
        prop_assert_eq!(read.expect("they can be read").len(), header.tlvs.len());
    }
}

#[test]
fn what_another_implementation_writes_is_read() {
    use ppp::v2::{Builder, Command, Protocol, Type};

    let ends: (SocketAddr, SocketAddr) = (
        "[2001:db8::7]:9".parse().unwrap(),
        "[::1]:443".parse().unwrap(),
    );
    let bytes = Builder::with_addresses(
        ppp::v2::Version::Two | Command::Proxy,
        Protocol::Stream,
        ends,
    )
    .write_tlv(Type::ALPN, b"http/1.1")
    .and_then(|builder| builder.write_tlv(Type::Authority, b"b.example"))
    .and_then(Builder::build)
    .unwrap();
    let header = whole(&bytes).unwrap();
    assert_eq!(header.client(), Some(ends.0));
    assert_eq!(
        (header.alpn(), header.authority()),
        (Some(&b"http/1.1"[..]), Some("b.example"))
    );
}
