// What `make systems` builds kubo from; see the script `build`.
module swarmrace/programs/kubo

go 1.26.5

require github.com/ipfs/kubo v0.43.1

// go-libp2p v0.49.0 wants these; kubo's own go.mod names older ones.
replace github.com/quic-go/webtransport-go => github.com/quic-go/webtransport-go v0.11.1

replace github.com/quic-go/quic-go => github.com/quic-go/quic-go v0.60.0
